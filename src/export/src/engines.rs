//! The engines of GPUs. The ring manager's thread starts and stops them: no decode thread waits for
//! a driver.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::Arc;

use vas_frame::{Geometry, RingPages, RingWriter};
use vas_gpu::{CudaError, Driver, Engine, NoPermits, Setup, StartError, Status, Unavailable};
use vas_media::{CudaDevice, GpuError};

use super::cuda::{Completions, CudaCopyQueue, Picture};
use super::deferred_drop::DeferredDrop;
use super::download::MAX_IN_FLIGHT;
use super::panics::Panics;
use super::vaapi::NodeEngines;

/// Cameras of one GPU: NVDEC decodes some 300 at 25 pictures a second on the largest.
const MAX_CAMERAS: u32 = 512;

/// Why a camera has no engine for its GPU.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoEngine {
    #[error(transparent)]
    Driver(#[from] Unavailable),
    #[error(transparent)]
    Device(#[from] GpuError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    NoPermits(#[from] NoPermits),
    #[error("can't start a thread of the frame path: {0}")]
    Thread(#[from] io::Error),
    /// The GPU's previous engine is still stopping.
    #[error("its last download engine is about to end")]
    Ending,
}

/// A ring that frames of a GPU go into.
#[derive(Debug)]
pub(super) struct ToPrepare {
    pages: RingPages,
    /// What its slots hold, if a kernel converts its frames.
    converted: Option<Geometry>,
}

impl ToPrepare {
    pub(super) fn new(writer: &RingWriter, converted: bool) -> Self {
        Self { pages: writer.pages(), converted: converted.then_some(*writer.geometry()) }
    }
}

/// All engines in use, by GPU index.
#[derive(Debug)]
pub(super) struct Engines {
    running: BTreeMap<usize, Running>,
    /// Why the last engine of a GPU ended, if the GPU was lost.
    lost: BTreeMap<usize, CudaError>,
    /// After the engines, which pass it pictures until they end.
    deferred_drop: Option<DeferredDrop>,
    panics: Arc<Panics>,
    /// Those of render nodes.
    nodes: NodeEngines,
}

/// An engine, and the device whose stream it borrows: opening the device meanwhile returns this
/// same one.
#[derive(Debug)]
struct Running {
    engine: Engine<Picture>,
    device: Arc<CudaDevice>,
    /// It was asked to end.
    ending: bool,
}

impl Engines {
    pub(super) fn new(panics: Arc<Panics>) -> Self {
        let nodes = NodeEngines::new(Arc::clone(&panics));
        let (running, lost) = (BTreeMap::new(), BTreeMap::new());
        Self { running, lost, deferred_drop: None, panics, nodes }
    }

    /// The engines of render nodes.
    pub(super) fn nodes(&mut self) -> &mut NodeEngines {
        &mut self.nodes
    }

    /// Why a render node is lost.
    pub(super) fn why_lost(&self, node: u32) -> Option<&str> {
        self.nodes.why_lost(node)
    }

    /// A camera's copy queue in a GPU's engine, which is started if this is its first camera.
    pub(super) fn copy_queue(
        &mut self,
        device: usize,
        completions: Arc<Completions>,
    ) -> Result<CudaCopyQueue, NoEngine> {
        self.let_go();
        let running = match self.running.entry(device) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let running = entry.insert(start(device, &self.panics)?);
                self.lost.remove(&device);
                running
            }
        };
        if running.ending {
            return Err(NoEngine::Ending);
        }
        let deferred_drop = match &mut self.deferred_drop {
            Some(deferred_drop) => deferred_drop,
            none => none.insert(DeferredDrop::start(Arc::clone(&self.panics))?),
        };
        Ok(CudaCopyQueue::new(device, &running.engine, deferred_drop.handle(), completions)?)
    }

    /// Pins a ring before its first frame, for this GPU and no other, and allocates what converts its frames.
    pub(super) fn prepare(&self, device: usize, ring: ToPrepare) {
        let ToPrepare { pages, converted } = ring;
        for (_, other) in self.running.iter().filter(|(other, _)| **other != device) {
            other.engine.release(pages.clone());
        }
        if let Some(running) = self.running.get(&device) {
            running.engine.prepare(pages, converted.as_ref());
        }
    }

    /// Whether any engine runs.
    pub(super) fn any(&self) -> bool {
        !self.running.is_empty() || self.nodes.any()
    }

    /// To be called about once a second while [any](Self::any) runs: unpins rings that are no longer in use, and stops engines
    /// whose GPU is lost or whose last camera has left.
    pub(super) fn housekeep(&mut self) {
        self.let_go();
        self.nodes.let_go();
        self.unpin_left();
    }

    /// Unpins rings that are no longer in use: their memory may be waited for.
    pub(super) fn unpin_left(&self) {
        self.running.values().for_each(|running| running.engine.housekeep());
    }

    /// Stops idle and lost engines without waiting for their copies. A lost GPU can be opened again
    /// once nothing holds it.
    fn let_go(&mut self) {
        for (device, running) in &mut self.running {
            let lost = running.engine.status().lost;
            // Decoders may have found it, while no copy was made that could fail: until the engine ends it keeps the
            // device from being opened again.
            let known = running.device.known_health().is_err();
            if !running.ending && (lost.is_some() || known || running.engine.is_unused()) {
                running.ending = true;
                running.engine.begin_stop();
            }
            self.lost.extend(lost.map(|why| (*device, why)));
        }
        self.running.retain(|_, running| !(running.ending && running.engine.has_ended()));
    }

    /// The state of an engine, or why it ended.
    pub(super) fn status(&self, device: usize) -> Status {
        match self.running.get(&device) {
            Some(running) => running.engine.status(),
            None => Status { lost: self.lost.get(&device).copied(), ..Status::default() },
        }
    }

    /// Finishes all copies, unpins all rings and ends the threads.
    pub(super) fn stop(&mut self) {
        for running in std::mem::take(&mut self.running).into_values() {
            running.engine.stop();
        }
        self.deferred_drop = None;
        self.nodes.stop();
    }
}

fn start(device: usize, panics: &Arc<Panics>) -> Result<Running, NoEngine> {
    let driver = Driver::probe()?;
    // If a decoder has opened it, this is the same device.
    let opened = CudaDevice::open(device)?;
    let (of_engine, kernels) = (Arc::clone(&opened), Arc::clone(&opened));
    let panics = Arc::clone(panics);
    let engine = Engine::start(Setup {
        driver,
        decode_stream: opened.shared_decode_stream(),
        permits: MAX_CAMERAS * MAX_IN_FLIGHT,
        kernels: Box::new(move || kernels.kernels()),
        // Decoders on it fail from now on, whatever the driver still answers them.
        on_lost: Box::new(move |error| of_engine.mark_lost(error.to_string())),
        on_panic: Box::new(move |part, words| panics.note(part, None, words)),
    })?;
    tracing::info!("downloading from GPU {device} ({})", opened.name());
    Ok(Running { engine, device: opened, ending: false })
}
