//! The engines of GPUs. The keeper's thread starts them and looks after them: no decode thread waits for a
//! driver.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vas_frame::RingPages;
use vas_gpu::{Driver, Engine, NoRoom, Setup, StartError, Status, Unavailable};
use vas_media::{CudaDevice, GpuError};

use super::closer::Closer;
use super::cuda::{CudaLane, Picture, Told};
use super::limits::MAX_IN_FLIGHT;

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
    NoRoom(#[from] NoRoom),
    #[error("can't start a thread of the frame path: {0}")]
    Thread(#[from] io::Error),
}

/// The GPUs whose loss an engine has met with.
#[derive(Debug, Default)]
pub(crate) struct LostGpus(AtomicU64);

impl LostGpus {
    fn add(&self, device: usize) {
        self.0.fetch_or(Self::bit(device), Ordering::Relaxed);
    }

    /// Whether a GPU is lost to this process: its decoders, too, will not work again.
    #[allow(dead_code, reason = "for who opens decoders on GPUs")]
    pub(crate) fn has(&self, device: usize) -> bool {
        self.0.load(Ordering::Relaxed) & Self::bit(device) != 0
    }

    /// No host has more than 64.
    fn bit(device: usize) -> u64 {
        u32::try_from(device).ok().and_then(|device| 1u64.checked_shl(device)).unwrap_or(0)
    }
}

/// All engines that were asked for, by the number of their GPU.
#[derive(Debug, Default)]
pub(super) struct Engines {
    running: BTreeMap<usize, Running>,
    /// After the engines, which give pictures to it to the last.
    closer: Option<Closer>,
    lost: Arc<LostGpus>,
}

/// An engine, and the device that it borrows its stream of: whoever opens the device meanwhile has the same.
#[derive(Debug)]
struct Running {
    engine: Engine<Picture>,
    _device: Arc<CudaDevice>,
}

impl Engines {
    pub(super) fn new(lost: Arc<LostGpus>) -> Self {
        Self { lost, ..Self::default() }
    }

    /// A camera's way into the engine of a GPU, which is started if it is the first there.
    pub(super) fn lane(&mut self, device: usize, told: Arc<Told>) -> Result<CudaLane, NoEngine> {
        if !self.running.contains_key(&device) {
            let running = self.start(device)?;
            self.running.insert(device, running);
        }
        let closer = match &mut self.closer {
            Some(closer) => closer,
            none => none.insert(Closer::start()?),
        };
        let engine = &self.running[&device].engine;
        Ok(CudaLane::new(device, engine, closer.way(), told)?)
    }

    fn start(&self, device: usize) -> Result<Running, NoEngine> {
        let driver = Driver::probe()?;
        // A decoder has it open, or had: this is the same one.
        let opened = CudaDevice::open(device)?;
        let lost = Arc::clone(&self.lost);
        let engine = Engine::start(Setup {
            driver,
            decode_stream: opened.shared_decode_stream(),
            places: MAX_CAMERAS * MAX_IN_FLIGHT,
            on_lost: Box::new(move |_| lost.add(device)),
        })?;
        tracing::info!("downloading from GPU {device} ({})", opened.name());
        Ok(Running { engine, _device: opened })
    }

    /// Has a ring pinned before its first frame.
    pub(super) fn prepare(&self, device: usize, pages: RingPages) {
        if let Some(running) = self.running.get(&device) {
            running.engine.prepare(pages);
        }
    }

    /// To be called about once a second: rings that nobody has any more are unpinned.
    pub(super) fn housekeep(&self) {
        self.running.values().for_each(|running| running.engine.housekeep());
    }

    /// How an engine does.
    pub(super) fn status(&self, device: usize) -> Status {
        self.running.get(&device).map(|running| running.engine.status()).unwrap_or_default()
    }

    /// Finishes all copies, unpins all rings and ends the threads.
    pub(super) fn stop(&mut self) {
        for running in std::mem::take(&mut self.running).into_values() {
            running.engine.stop();
        }
        self.closer = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_gpu_is_told_from_the_others() {
        let lost = LostGpus::default();
        lost.add(3);
        assert_eq!([0, 3, 64, 67].map(|device| lost.has(device)), [false, true, false, false]);
    }
}
