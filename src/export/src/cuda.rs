//! A camera's copy queue in a GPU's engine (`vas-gpu`), for frames whose picture is an NVDEC
//! surface.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vas_frame::{ClaimedSlot, PublishMeta};
use vas_gpu::{
    DevicePlane, Engine, Failure, GpuCopyQueue, NoPermits, NotAdmitted, Outcome, Outcomes, Planes,
    Samples, Surface,
};
use vas_media::{Frame, SurfaceFormat};
use vas_scale::Plan;
use vas_status::DropReason;

use super::deferred_drop::DeferredDropHandle;
use super::download::{Account, Download, MAX_IN_FLIGHT};
use super::frame_pool::{FramePool, LoanedFrame};

/// A camera's copy queue in the engine of one GPU.
#[derive(Debug)]
pub(super) struct CudaCopyQueue {
    device: usize,
    copy_queue: GpuCopyQueue<Picture>,
    frames: Arc<FramePool>,
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
        Ok(Self { device, copy_queue, frames: FramePool::new(Some(deferred_drop)) })
    }

    pub(super) fn device(&self) -> usize {
        self.device
    }

    /// Whether the engine has stopped taking frames.
    pub(super) fn is_over(&self) -> bool {
        self.copy_queue.is_over()
    }

    /// For pictures that are scaled by this plan, or not at all.
    pub(super) fn scaling(&self, plan: Option<Plan>) -> Scaling<'_> {
        Scaling { copy_queue: self, plan }
    }
}

/// The same, for pictures that are scaled by a plan.
#[derive(Debug)]
pub(super) struct Scaling<'a> {
    copy_queue: &'a CudaCopyQueue,
    plan: Option<Plan>,
}

impl Download for Scaling<'_> {
    /// The empty frame that the picture moves into, and the engine's permit. They are given back in
    /// this order.
    type Permit = (LoanedFrame, vas_gpu::Permit);

    fn admit(&self) -> Result<Self::Permit, DropReason> {
        let CudaCopyQueue { copy_queue, frames, .. } = self.copy_queue;
        let permit = copy_queue.admit().map_err(|why| match why {
            NotAdmitted::InFlight => DropReason::InFlight,
            NotAdmitted::DeviceLost => DropReason::GpuLost,
            NotAdmitted::Stopped => DropReason::NoExport,
        })?;
        // A permit guarantees an empty frame: the frame is returned before its permit is.
        let held = frames.lend().ok_or(DropReason::InFlight)?;
        Ok((held, permit))
    }

    fn submit(
        &self,
        (mut held, permit): Self::Permit,
        frame: &mut Frame,
        slot: ClaimedSlot,
        meta: PublishMeta,
    ) {
        // A frame without a surface fits no slot: the engine gives it up and says why.
        let planes = planes_of(frame).unwrap_or(NO_PLANES);
        held.take_from(frame);
        let picture = Picture { _held: held, planes };
        self.copy_queue.copy_queue.submit(permit, picture, self.plan, slot, meta);
    }

    fn in_flight(&self) -> u32 {
        self.copy_queue.copy_queue.in_flight()
    }
}

/// Pictures that fill their slots as they are.
impl Download for CudaCopyQueue {
    type Permit = (LoanedFrame, vas_gpu::Permit);

    fn admit(&self) -> Result<Self::Permit, DropReason> {
        self.scaling(None).admit()
    }

    fn submit(
        &self,
        permit: Self::Permit,
        frame: &mut Frame,
        slot: ClaimedSlot,
        meta: PublishMeta,
    ) {
        self.scaling(None).submit(permit, frame, slot, meta);
    }

    fn in_flight(&self) -> u32 {
        self.scaling(None).in_flight()
    }
}

impl Surface for Picture {
    fn planes(&self) -> Planes {
        self.planes
    }
}

const NO_PLANES: Planes = {
    let none = DevicePlane { address: 0, pitch: 0 };
    Planes { width: 0, height: 0, samples: Samples::Bytes, luma: none, chroma: none }
};

fn planes_of(frame: &Frame) -> Option<Planes> {
    let surface = frame.surface()?;
    let plane =
        |plane: vas_media::DevicePlane| DevicePlane { address: plane.address, pitch: plane.pitch };
    let (width, height) = surface.size;
    let samples = match surface.format {
        SurfaceFormat::Nv12 => Samples::Bytes,
        SurfaceFormat::P010 => Samples::Words,
    };
    let (luma, chroma) = (plane(surface.luma), plane(surface.chroma));
    Some(Planes { width, height, samples, luma, chroma })
}

/// Receives the outcome of each of a camera's frames.
#[derive(Debug)]
pub(super) struct Completions {
    account: Account,
    staged: AtomicBool,
    not_converted: AtomicBool,
}

impl Completions {
    pub(super) fn new(account: Account) -> Self {
        Self { account, staged: AtomicBool::new(false), not_converted: AtomicBool::new(false) }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Whether the last frame was staged in the driver's own memory first.
    pub(super) fn staged(&self) -> bool {
        self.staged.load(Ordering::Relaxed)
    }

    /// Whether the last frame was given up because the GPU can't convert it.
    pub(super) fn not_converted(&self) -> bool {
        self.not_converted.load(Ordering::Relaxed)
    }
}

impl Outcomes for Completions {
    fn settled(&self, meta: &PublishMeta, outcome: Outcome) {
        let not_converted = matches!(outcome, Outcome::Failed(Failure::NotConverted(_)));
        self.not_converted.store(not_converted, Ordering::Relaxed);
        match outcome {
            Outcome::Published { at_ns, staged } => {
                self.staged.store(staged, Ordering::Relaxed);
                self.account.published(meta, at_ns);
            }
            // The engine has logged it, once for all cameras.
            Outcome::Failed(Failure::DeviceLost) => self.account.dropped(DropReason::GpuLost),
            Outcome::Failed(Failure::NotConverted(_)) => {
                self.account.dropped(DropReason::CopyFailed);
            }
            Outcome::Failed(failure) => self.account.failed(&failure),
        }
    }
}
