//! A camera's queue into the engine: what the tap holds.

use std::fmt;
use std::sync::Arc;

use vas_frame::{ClaimedSlot, PublishMeta};
use vas_scale::Plan;

use crate::job::{Job, Surface};
use crate::outcome::Outcomes;
use crate::permit::{Camera, NoPermits, NotAdmitted, Permit};
use crate::submitter::GpuSubmitter;

/// One camera's queue. It may outlive the engine, and then admits nothing.
pub struct GpuCopyQueue<S> {
    submitter: Arc<GpuSubmitter<S>>,
    camera: Arc<Camera>,
}

impl<S> fmt::Debug for GpuCopyQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (in_flight, limit) = (self.in_flight(), self.camera.limit());
        f.debug_struct("GpuCopyQueue")
            .field("in_flight", &in_flight)
            .field("limit", &limit)
            .finish()
    }
}

impl<S> GpuCopyQueue<S> {
    pub(crate) fn new(
        submitter: &Arc<GpuSubmitter<S>>,
        limit: u32,
        outcomes: Arc<dyn Outcomes>,
    ) -> Result<Self, NoPermits> {
        let camera = Camera::new(Arc::clone(submitter.semaphore()), limit, outcomes)?;
        Ok(Self { submitter: Arc::clone(submitter), camera: Arc::new(camera) })
    }

    /// Frames of the camera in flight. Each holds a surface and a slot.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.camera.in_flight()
    }

    /// Whether nothing is admitted any more: the device is lost, or the engine is stopping.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.submitter.open().is_err()
    }

    /// Takes a permit for one more frame, before a slot is claimed.
    ///
    /// # Errors
    /// Why the frame is to be dropped.
    pub fn admit(&self) -> Result<Permit, NotAdmitted> {
        self.submitter.open()?;
        self.camera.admit().ok_or(NotAdmitted::InFlight)
    }
}

impl<S: Surface> GpuCopyQueue<S> {
    /// Hands a frame over, to be scaled by `plan` or to fill the slot as it is. The camera's [`Outcomes`] receive its
    /// outcome.
    ///
    /// A camera's frames are submitted in the order of their ids, by one thread at a time.
    pub fn submit(
        &self,
        permit: Permit,
        surface: S,
        plan: Option<Plan>,
        slot: ClaimedSlot,
        meta: PublishMeta,
    ) {
        self.submitter.enter(Job { surface, plan, slot, meta, permit });
    }
}
