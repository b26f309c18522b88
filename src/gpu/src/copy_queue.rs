//! A camera's way into the engine: what the tap holds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vas_frame::{ClaimedSlot, Stamp};

use crate::job::{Job, Outcome, Outcomes, Surface};
use crate::submitter::{Semaphore, Submitter};

/// Why a frame can't be taken now: it is to be dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// As many frames of the camera as may be are on their way.
    #[error("as many frames of the camera as may be are on their way")]
    InFlight,
    /// The device is lost.
    #[error("the GPU is lost to this process")]
    DeviceLost,
    /// The engine has stopped.
    #[error("the download engine has stopped")]
    Stopped,
}

/// A copy queue for which the engine has no permits left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the download engine has {left} permits in flight left, and {wanted} were asked for")]
pub struct NoPermits {
    /// Places that were asked for.
    pub wanted: u32,
    /// Places that no copy queue has.
    pub left: u32,
}

/// One camera's way in. It may outlive the engine, which then admits nothing.
pub struct CopyQueue<S> {
    submitter: Arc<Submitter<S>>,
    camera: Arc<Camera>,
}

/// What the engine knows of a camera.
struct Camera {
    semaphore: Arc<Semaphore>,
    limit: u32,
    in_flight: AtomicU32,
    outcomes: Arc<dyn Outcomes>,
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.semaphore.give_back(self.limit);
    }
}

/// A permit for one frame in flight; dropping it gives it back.
pub struct Permit(Arc<Camera>);

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").finish()
    }
}

impl<S> fmt::Debug for CopyQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (in_flight, limit) = (self.in_flight(), self.camera.limit);
        f.debug_struct("CopyQueue").field("in_flight", &in_flight).field("limit", &limit).finish()
    }
}

impl Permit {
    /// The frame is done with: its permit first, then the word of it.
    pub(crate) fn settle(self, stamp: &Stamp, outcome: Outcome) {
        let outcomes = Arc::clone(&self.0.outcomes);
        drop(self);
        outcomes.settled(stamp, outcome);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

impl<S> CopyQueue<S> {
    pub(crate) fn new(
        submitter: &Arc<Submitter<S>>,
        limit: u32,
        outcomes: Arc<dyn Outcomes>,
    ) -> Result<Self, NoPermits> {
        let semaphore = Arc::clone(submitter.semaphore());
        semaphore.take(limit)?;
        let camera = Camera { semaphore, limit, in_flight: AtomicU32::new(0), outcomes };
        Ok(Self { submitter: Arc::clone(submitter), camera: Arc::new(camera) })
    }

    /// Frames of the camera that are on their way. Each holds a surface and a slot.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.camera.in_flight.load(Ordering::Acquire)
    }

    /// Whether nothing is admitted any more: the device is lost, or the engine stops.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.submitter.open().is_err()
    }

    /// A permit for one more frame. To be asked for before a slot is claimed.
    ///
    /// # Errors
    /// Why the frame is to be dropped.
    pub fn admit(&self) -> Result<Permit, NotAdmitted> {
        self.submitter.open()?;
        let one_more = |n: u32| (n < self.camera.limit).then_some(n + 1);
        // Partner: the release in `Permit::drop`. Whoever gets the permit finds the surface given back.
        let counted =
            self.camera.in_flight.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more);
        counted.map(|_| Permit(Arc::clone(&self.camera))).map_err(|_| NotAdmitted::InFlight)
    }
}

impl<S: Surface> CopyQueue<S> {
    /// Hands a frame over. The camera's [`Outcomes`] are told what becomes of it.
    ///
    /// A camera's frames are submitted in the order of their ids, by one thread at a time.
    pub fn submit(&self, permit: Permit, surface: S, slot: ClaimedSlot, stamp: Stamp) {
        self.submitter.enter(Job { surface, slot, stamp, permit });
    }
}
