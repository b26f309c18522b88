//! Which decoder each camera gets: the GPU with the fewest cameras that has room, as the service admits them.

use serde::Serialize;
use vas_config::{Decode, GpuChoice};
use vas_surfaces::{DEVICE_RESERVE, padded};

use crate::camera::{Camera, Decoder};
use crate::gpu::Gpu;
use crate::price::{Price, Span};

/// How many cameras each decoder gets: at most on the GPUs if streams and contexts need the least, and the other way
/// round. Cameras on render nodes are left out: they have no admission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// Cameras of each GPU, by number.
    pub gpus: Vec<Span>,
    /// Cameras of the processor.
    pub processor: Span,
    /// Cameras that nothing decodes: only NVDEC may, and no GPU that they may use has room.
    pub nothing: Span,
}

/// Cameras by decoder, with one assumption of what they need.
#[derive(Default)]
struct Placed {
    gpus: Vec<u64>,
    processor: u64,
    nothing: u64,
}

/// What one GPU has left; `None`: not known, and not compared.
#[derive(Clone)]
struct Left {
    cameras: u64,
    bytes: Option<u64>,
    engines: Option<f64>,
}

impl Placement {
    /// Places cameras with their prices in this order on GPUs with contexts of that size.
    pub(crate) fn of<'a>(
        cameras: impl Iterator<Item = (&'a Camera, &'a Price)> + Clone,
        gpu: Option<&Gpu>,
        context: (u64, u64),
    ) -> Self {
        let modest = place(cameras.clone(), gpu, context.0, |need| need.least);
        let greedy = place(cameras, gpu, context.1, |need| need.most);
        let span = |a: u64, b: u64| Span { least: a.min(b), most: a.max(b) };
        Self {
            gpus: modest.gpus.iter().zip(&greedy.gpus).map(|(a, b)| span(*a, *b)).collect(),
            processor: span(modest.processor, greedy.processor),
            nothing: span(modest.nothing, greedy.nothing),
        }
    }

    /// Cameras of all GPUs.
    #[must_use]
    pub fn on_gpus(&self) -> Span {
        self.gpus.iter().fold(Span::default(), |sum, gpu| sum + *gpu)
    }
}

fn place<'a>(
    cameras: impl Iterator<Item = (&'a Camera, &'a Price)>,
    gpu: Option<&Gpu>,
    context: u64,
    assumed: impl Fn(Span) -> u64,
) -> Placed {
    let empty = gpu.map(|gpu| Left {
        cameras: 0,
        bytes: gpu.memory_bytes.map(|bytes| bytes.saturating_sub(context + DEVICE_RESERVE)),
        engines: gpu.engines.map(f64::from),
    });
    let count = gpu.map_or(0, |gpu| gpu.count as usize);
    let mut gpus: Vec<_> = std::iter::repeat_n(empty, count).flatten().collect();
    let mut placed = Placed::default();
    for (camera, price) in cameras {
        match price.decoder {
            Decoder::None | Decoder::Vaapi => continue,
            Decoder::Software => {
                placed.processor += 1;
                continue;
            }
            Decoder::Nvdec => {}
        }
        let surfaces = padded(assumed(price.device_bytes), camera.coded_width());
        let bytes = surfaces + assumed(price.scratch_bytes);
        let engines = price.engines.unwrap_or(0.0);
        let takes = |left: &&mut Left| {
            left.bytes.is_none_or(|left| bytes <= left)
                && left.engines.is_none_or(|left| engines <= left)
        };
        let may = |number: usize| match camera.gpu {
            GpuChoice::Auto => true,
            GpuChoice::Number(named) => number == named,
            GpuChoice::Node(_) => false,
        };
        let allowed = gpus.iter_mut().enumerate().filter(|(number, _)| may(*number));
        let allowed = allowed.map(|(_, left)| left).filter(takes);
        match allowed.min_by_key(|left| left.cameras) {
            Some(left) => {
                left.cameras += 1;
                left.bytes = left.bytes.map(|left| left - bytes);
                left.engines = left.engines.map(|left| left - engines);
            }
            None if camera.decode == Decode::Nvdec => placed.nothing += 1,
            None => placed.processor += 1,
        }
    }
    placed.gpus = gpus.iter().map(|left| left.cameras).collect();
    placed
}
