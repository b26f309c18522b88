//! The engines of GPUs. The ring manager's thread starts them and looks after them: no decode thread waits for a
//! driver.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::Arc;

use vas_frame::RingPages;
use vas_gpu::{CudaError, Driver, Engine, NoPermits, Setup, StartError, Status, Unavailable};
use vas_media::{CudaDevice, GpuError};

use super::cuda::{Completions, CudaCopyQueue, Picture};
use super::deferred_drop::DeferredDrop;
use super::limits::MAX_IN_FLIGHT;
use super::panics::Panics;

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
    /// The engine before it still has the GPU: soon it won't.
    #[error("its last download engine is about to end")]
    Ending,
}

/// All engines that were asked for, by the number of their GPU.
#[derive(Debug)]
pub(super) struct Engines {
    running: BTreeMap<usize, Running>,
    /// Why the last engine of a GPU ended, if the GPU was lost.
    lost: BTreeMap<usize, CudaError>,
    /// After the engines, which give pictures to it to the last.
    deferred_drop: Option<DeferredDrop>,
    panics: Arc<Panics>,
}

/// An engine, and the device that it borrows its stream of: whoever opens the device meanwhile has the same.
#[derive(Debug)]
struct Running {
    engine: Engine<Picture>,
    _device: Arc<CudaDevice>,
    /// It was told to end.
    ending: bool,
}

impl Engines {
    pub(super) fn new(panics: Arc<Panics>) -> Self {
        Self { running: BTreeMap::new(), lost: BTreeMap::new(), deferred_drop: None, panics }
    }

    /// A camera's way into the engine of a GPU, which is started if it is the first there.
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
        Ok(CudaCopyQueue::new(device, &running.engine, deferred_drop.route(), completions)?)
    }

    /// Has a ring pinned before its first frame, for this GPU and for no other.
    pub(super) fn prepare(&self, device: usize, pages: RingPages) {
        for (_, other) in self.running.iter().filter(|(other, _)| **other != device) {
            other.engine.release(pages.clone());
        }
        if let Some(running) = self.running.get(&device) {
            running.engine.prepare(pages);
        }
    }

    /// To be called about once a second: rings that nobody has any more are unpinned, and engines end whose
    /// GPU is lost or whose last camera has left.
    pub(super) fn housekeep(&mut self) {
        self.let_go();
        self.unpin_left();
    }

    /// Has rings unpinned that nobody has any more: their memory may be waited for.
    pub(super) fn unpin_left(&self) {
        self.running.values().for_each(|running| running.engine.housekeep());
    }

    /// A GPU that was lost can be opened again when nobody has it any more; nobody waits here until copies end.
    fn let_go(&mut self) {
        for (device, running) in &mut self.running {
            let lost = running.engine.status().lost;
            if !running.ending && (lost.is_some() || running.engine.is_unused()) {
                running.ending = true;
                running.engine.begin_stop();
            }
            self.lost.extend(lost.map(|why| (*device, why)));
        }
        self.running.retain(|_, running| !(running.ending && running.engine.has_ended()));
    }

    /// How an engine does, or why it is no more.
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
    }
}

fn start(device: usize, panics: &Arc<Panics>) -> Result<Running, NoEngine> {
    let driver = Driver::probe()?;
    // A decoder has it open, or had: this is the same one.
    let opened = CudaDevice::open(device)?;
    let of_engine = Arc::clone(&opened);
    let panics = Arc::clone(panics);
    let engine = Engine::start(Setup {
        driver,
        decode_stream: opened.shared_decode_stream(),
        permits: MAX_CAMERAS * MAX_IN_FLIGHT,
        // Decoders on it fail from now on, whatever the driver goes on to tell them.
        on_lost: Box::new(move |error| of_engine.tell_lost(error.to_string())),
        on_panic: Box::new(move |part, words| panics.note(part, None, words)),
    })?;
    tracing::info!("downloading from GPU {device} ({})", opened.name());
    Ok(Running { engine, _device: opened, ending: false })
}
