//! A camera's copy queue in a GPU's engine (`vas-gpu`), for frames whose picture is an NVDEC
//! surface.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use vas_frame::{ClaimedSlot, Stamp};
use vas_gpu::{
    CopyQueue, DevicePlane, Engine, Failure, NoPermits, NotAdmitted, Outcome, Outcomes, Planes,
    Surface,
};
use vas_media::Frame;
use vas_status::DropReason;

use super::deferred_drop::DeferredDropHandle;
use super::download::{Account, Download};
use super::limits::MAX_IN_FLIGHT;

/// A camera's copy queue in the engine of one GPU.
#[derive(Debug)]
pub(super) struct CudaCopyQueue {
    device: usize,
    copy_queue: CopyQueue<Picture>,
    pool: Arc<FramePool>,
}

/// Holds empty frames for reuse, and drops the last frame of a decoder elsewhere.
#[derive(Debug)]
struct FramePool {
    spare: ArrayQueue<Frame>,
    deferred_drop: DeferredDropHandle,
}

/// A permit of the engine, and the empty frame that the picture moves into.
pub(super) struct Permit {
    loan: LoanedFrame,
    permit: vas_gpu::Permit,
}

/// An empty frame, on loan.
struct LoanedFrame {
    frame: Option<Frame>,
    pool: Arc<FramePool>,
}

/// A surface in flight. Holding the frame keeps NVDEC from reusing the surface.
pub(super) struct Picture {
    _held: LoanedFrame,
    planes: Planes,
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Picture").field(&self.planes).finish()
    }
}

impl CudaCopyQueue {
    /// Registers a camera with the engine.
    ///
    /// # Errors
    /// The engine has as many cameras as it takes.
    pub(super) fn new(
        device: usize,
        engine: &Engine<Picture>,
        deferred_drop: DeferredDropHandle,
        completions: Arc<Completions>,
    ) -> Result<Self, NoPermits> {
        let copy_queue = engine.copy_queue(MAX_IN_FLIGHT, completions)?;
        let spare = ArrayQueue::new(MAX_IN_FLIGHT as usize);
        while spare.push(Frame::new()).is_ok() {}
        Ok(Self { device, copy_queue, pool: Arc::new(FramePool { spare, deferred_drop }) })
    }

    pub(super) fn device(&self) -> usize {
        self.device
    }

    /// Whether the engine has stopped taking frames.
    pub(super) fn is_over(&self) -> bool {
        self.copy_queue.is_over()
    }
}

impl Download for CudaCopyQueue {
    type Permit = Permit;

    fn admit(&self) -> Result<Permit, DropReason> {
        let permit = self.copy_queue.admit().map_err(|why| match why {
            NotAdmitted::InFlight => DropReason::InFlight,
            NotAdmitted::DeviceLost => DropReason::GpuLost,
            NotAdmitted::Stopped => DropReason::NoExport,
        })?;
        // A permit guarantees an empty frame: the frame is returned before its permit is.
        let frame = Some(self.pool.spare.pop().ok_or(DropReason::InFlight)?);
        Ok(Permit { loan: LoanedFrame { frame, pool: Arc::clone(&self.pool) }, permit })
    }

    fn submit(&self, permit: Permit, frame: &mut Frame, slot: ClaimedSlot, stamp: Stamp) {
        let Permit { mut loan, permit } = permit;
        // A frame without a surface fits no slot: the engine gives it up and says why.
        let planes = planes_of(frame).unwrap_or(NO_PLANES);
        if let Some(held) = &mut loan.frame {
            held.take_from(frame);
        }
        self.copy_queue.submit(permit, Picture { _held: loan, planes }, slot, stamp);
    }

    fn in_flight(&self) -> u32 {
        self.copy_queue.in_flight()
    }
}

impl Surface for Picture {
    fn planes(&self) -> Planes {
        self.planes
    }
}

impl Drop for LoanedFrame {
    /// For a picture this runs on the reaper: unmapping it is short, destroying a decoder is not.
    fn drop(&mut self) {
        let Some(mut frame) = self.frame.take() else { return };
        if frame.is_last_of_decoder() {
            self.pool.deferred_drop.take(&mut frame);
        } else {
            frame.clear();
        }
        // The queue has as many slots as there are empty frames.
        let _ = self.pool.spare.push(frame);
    }
}

const NO_PLANES: Planes = {
    let none = DevicePlane { address: 0, pitch: 0 };
    Planes { width: 0, height: 0, luma: none, chroma: none }
};

fn planes_of(frame: &Frame) -> Option<Planes> {
    let surface = frame.surface()?;
    let plane =
        |plane: vas_media::DevicePlane| DevicePlane { address: plane.address, pitch: plane.pitch };
    let (width, height) = surface.size;
    Some(Planes { width, height, luma: plane(surface.luma), chroma: plane(surface.chroma) })
}

/// Receives the outcome of each of a camera's frames.
#[derive(Debug)]
pub(super) struct Completions {
    account: Account,
    staged: AtomicBool,
}

impl Completions {
    pub(super) fn new(account: Account) -> Self {
        Self { account, staged: AtomicBool::new(false) }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Whether the last frame was staged in the driver's own memory first.
    pub(super) fn staged(&self) -> bool {
        self.staged.load(Ordering::Relaxed)
    }
}

impl Outcomes for Completions {
    fn settled(&self, stamp: &Stamp, outcome: Outcome) {
        match outcome {
            Outcome::Published { at_ns, staged } => {
                self.staged.store(staged, Ordering::Relaxed);
                self.account.published(stamp, at_ns);
            }
            // The engine has logged it, once for all cameras.
            Outcome::Failed(Failure::DeviceLost) => self.account.dropped(DropReason::GpuLost),
            Outcome::Failed(failure) => self.account.failed(&failure),
        }
    }
}
