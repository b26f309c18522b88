//! A plan: prices, their sum, and what does not fit.

use std::collections::HashMap;

use serde::Serialize;

use crate::camera::{Basis, Camera, Codec, Decoder};
use crate::figures::{self, Figure};
use crate::gpu::Gpu;
use crate::host::{Host, Limit};
use crate::placement::Placement;
use crate::price::{Price, RingSettings, Span, per_second};
use crate::problems::{self, Problem};

/// Version of the JSON. It rises when a field changes its meaning or is removed.
const SCHEMA: u32 = 1;

/// What a plan is made of.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The cameras.
    pub cameras: &'a [Camera],
    /// `[export] hold`.
    pub hold: std::time::Duration,
    /// `[export] slots`.
    pub slots: Option<u32>,
    /// The GPU; `None`: the processor decodes.
    pub gpu: Option<&'a Gpu>,
    /// The host; `None`: nothing is compared with its memory.
    pub host: Option<&'a Host>,
}

/// A plan, as `vas plan --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Version of this form.
    pub schema: u32,
    /// `[export] hold` in milliseconds.
    pub hold_ms: u64,
    /// Cameras, those that are alike together.
    pub kinds: Vec<Kind>,
    /// All cameras together.
    pub sum: Sum,
    /// The GPU that decodes.
    pub gpu: Option<Gpu>,
    /// Device memory of one CUDA context for each GPU, by reports.
    pub context_bytes: Span,
    /// Which decoder how many cameras get.
    pub placement: Placement,
    /// The memory that limits rings; empty if no host was asked.
    pub limits: Vec<Limit>,
    /// Processors of the host.
    pub host_processors: Option<u32>,
    /// Descriptors that a process may have.
    pub host_descriptors: Option<u64>,
    /// What does not fit, or may not.
    pub problems: Vec<Problem>,
    /// What the sums are made of.
    pub figures: Vec<Figure>,
}

/// Cameras that are alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kind {
    /// Their ids.
    pub ids: Vec<String>,
    /// Where their streams are known from.
    pub basis: Basis,
    /// Codec.
    pub codec: Codec,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures a second; `None`: the stream states none, and 30 are assumed.
    pub fps: Option<f64>,
    /// The most that readers get; `None`: every frame.
    pub read_fps: Option<f64>,
    /// Whether they are recorded.
    pub recorded: bool,
    /// What each takes.
    pub each: Price,
}

/// A sum of which a part may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Partial {
    /// The part that is known.
    pub known: f64,
    /// Cameras of which nothing is known.
    pub unknown_cameras: usize,
}

impl Partial {
    fn add(&mut self, each: Option<f64>, cameras: usize) {
        match each {
            Some(each) => self.known += each * cameras as f64,
            None => self.unknown_cameras += cameras,
        }
    }
}

/// What all cameras take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sum {
    /// Cameras.
    pub cameras: usize,
    /// Of these, decoded by a GPU.
    pub on_gpu: usize,
    /// Bytes of shared memory.
    pub ring_bytes: u64,
    /// Of these, the most that huge pages can back.
    pub huge_bytes: u64,
    /// Of these, pinned for a GPU.
    pub pinned_bytes: u64,
    /// Surfaces.
    pub surfaces: Span,
    /// Device memory of the surfaces, without contexts.
    pub device_bytes: Span,
    /// Device memory for converted pictures.
    pub scratch_bytes: Span,
    /// NVDEC engines that are kept busy.
    pub engines: Partial,
    /// Processors that are kept busy.
    pub processors: Partial,
    /// Bytes a second from GPUs to the host.
    pub link_bytes_s: u64,
    /// Bytes a second to disks.
    pub record_bytes_s: Partial,
    /// Threads, without those that a process has whatever its cameras.
    pub threads: u64,
    /// Descriptors.
    pub descriptors: Partial,
}

impl Sum {
    pub(crate) fn add(&mut self, Kind { ids, each, .. }: &Kind) {
        let (count, times) = (ids.len(), ids.len() as u64);
        let span = |span: Span| Span { least: span.least * times, most: span.most * times };
        self.cameras += count;
        self.on_gpu += if each.decoder == Decoder::Nvdec { count } else { 0 };
        self.ring_bytes += each.ring_bytes * times;
        self.huge_bytes += each.huge_bytes * times;
        self.pinned_bytes += each.pinned_bytes * times;
        // Those of VA-API are not the NVIDIA GPU's, which the sum is compared with.
        if each.decoder == Decoder::Nvdec {
            self.surfaces = self.surfaces + span(each.surfaces);
            self.device_bytes = self.device_bytes + span(each.device_bytes);
            self.scratch_bytes = self.scratch_bytes + span(each.scratch_bytes);
        }
        self.engines.add(each.engines, count);
        self.processors.add(each.processors, count);
        self.link_bytes_s += each.link_bytes_s * times;
        self.record_bytes_s.add(each.record_bytes_s.map(|bytes| bytes as f64), count);
        self.threads += u64::from(each.threads) * times;
        self.descriptors.add(each.descriptors.map(f64::from), count);
    }
}

impl Plan {
    /// Adds up what the cameras take, and compares.
    #[must_use]
    pub fn of(inputs: &Inputs<'_>) -> Self {
        let rings = RingSettings { hold: inputs.hold, slots: inputs.slots };
        let kinds = kinds(inputs.cameras, inputs.gpu, rings);
        let mut sum = Sum::default();
        kinds.iter().for_each(|kind| sum.add(kind));
        let contexts = inputs.gpu.filter(|_| sum.on_gpu > 0).map_or(0, |gpu| u64::from(gpu.count));
        let (least, most) = figures::CONTEXT;
        let kind_of: HashMap<_, _> = kinds
            .iter()
            .flat_map(|kind| kind.ids.iter().map(move |id| (id.as_str(), &kind.each)))
            .collect();
        let priced = inputs.cameras.iter();
        let priced = priced.filter_map(|camera| Some((camera, *kind_of.get(camera.id.as_str())?)));
        let placement = Placement::of(priced, inputs.gpu, figures::CONTEXT);
        let mut plan = Self {
            schema: SCHEMA,
            hold_ms: u64::try_from(inputs.hold.as_millis()).unwrap_or(u64::MAX),
            kinds,
            sum,
            gpu: inputs.gpu.cloned(),
            context_bytes: Span { least: least * contexts, most: most * contexts },
            placement,
            limits: inputs.host.map(limits).unwrap_or_default(),
            host_processors: inputs.host.and_then(|host| host.processors),
            host_descriptors: inputs.host.and_then(|host| host.descriptors),
            problems: Vec::new(),
            figures: Vec::new(),
        };
        plan.problems = problems::of(&plan, inputs.host.map(|host| host.limits.as_slice()));
        plan.figures = plan.sources();
        plan
    }

    /// The JSON, with a line break at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("no map has a key that is no string, and no number is NaN") + "\n"
    }

    /// Whether everything fits, as far as is known.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.problems.iter().all(|problem| !problem.certain)
    }

    fn sources(&self) -> Vec<Figure> {
        let mut found = Vec::new();
        let uses = |decoder| self.kinds.iter().any(|kind| kind.each.decoder == decoder);
        if let Some(gpu) = self.gpu.as_ref().filter(|_| uses(Decoder::Nvdec)) {
            let number = |number: Option<u32>| number.map_or("unknown".into(), |it| it.to_string());
            let memory =
                gpu.memory_bytes.map_or("unknown".into(), |bytes| format!("{} MiB", bytes >> 20));
            let rates = match (gpu.h264_fps, gpu.h265_fps) {
                (Some(h264), Some(h265)) => format!("{h264} a second in H.264, {h265} in H.265"),
                _ => "unknown".into(),
            };
            found.push(Figure::new("decoder rate", rates, gpu.rates_source));
            found.push(Figure::new("NVDEC engines", number(gpu.engines), gpu.engines_source));
            found.push(Figure::new("device memory", memory, gpu.memory_source));
            found.push(Figure::new("surfaces", "a span", figures::SURFACES_SOURCE));
            if self.sum.scratch_bytes.most > 0 {
                found.push(Figure::new(
                    "converted pictures",
                    "one a camera, of its slots' size",
                    figures::SCRATCH_SOURCE,
                ));
            }
            found.push(Figure::new("CUDA context", "107 to 555 MiB", figures::CONTEXT_SOURCE));
            found.push(Figure::new(
                "processor time of NVDEC cameras",
                "not measured",
                "no run on a real GPU is recorded in bench/results",
            ));
            found.push(Figure::new(
                "link's peak",
                "not measured",
                "scripts/gpu-check measures it; compare with the bytes a second above",
            ));
        }
        if self.sum.processors.known > 0.0 {
            let value = format!(
                "H.264 {} ms a picture, receive {}, copy {}",
                figures::MS.decode_h264,
                figures::MS.receive,
                figures::MS.copy
            );
            found.push(Figure::new("processor time", value, figures::MS_SOURCE));
        }
        let h265 = self
            .kinds
            .iter()
            .any(|kind| kind.each.decoder == Decoder::Software && kind.codec != Codec::H264);
        if h265 {
            found.push(Figure::new(
                "processor time of other codecs than H.264",
                "not measured",
                "no result in bench/results; bench/run.sh cpu measures H.265",
            ));
        }
        let scaled = self.kinds.iter().any(|kind| {
            kind.each.decoder == Decoder::Software
                && kind.each.export_size.is_some_and(|size| size != (kind.width, kind.height))
        });
        if scaled {
            found.push(Figure::new("scaling", "2.23 times the copy", figures::SCALE_SOURCE));
        }
        if self.kinds.iter().any(|kind| kind.recorded) {
            found.push(Figure::new("recording", "0.03 ms a picture", figures::RECORD_SOURCE));
        }
        found.push(Figure::new("threads", "counted", figures::THREADS_SOURCE));
        found.push(Figure::new(
            "descriptors",
            "6, and 7 for an export",
            figures::DESCRIPTORS_SOURCE,
        ));
        found
    }
}

fn limits(host: &Host) -> Vec<Limit> {
    let limit = |limit: &vas_frame::MemoryLimit| Limit {
        scope: limit.scope.to_string(),
        free_bytes: limit.free,
    };
    host.limits.iter().map(limit).collect()
}

/// Cameras that are alike, in the order of the first of each.
fn kinds(cameras: &[Camera], gpu: Option<&Gpu>, rings: RingSettings) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for camera in cameras {
        let (width, height) = camera.stream.size;
        let kind = Kind {
            ids: Vec::new(),
            basis: camera.basis,
            codec: camera.stream.codec.clone(),
            width,
            height,
            fps: camera.stream.fps.map(per_second),
            read_fps: camera.read_fps.map(per_second),
            recorded: camera.recorded,
            each: Price::of(camera, gpu, rings),
        };
        let same =
            kinds.iter_mut().find(|other| Kind { ids: Vec::new(), ..(**other).clone() } == kind);
        match same {
            Some(same) => same.ids.push(camera.id.clone()),
            None => kinds.push(Kind { ids: vec![camera.id.clone()], ..kind }),
        }
    }
    kinds
}
