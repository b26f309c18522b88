//! Limits the frames in flight: permits, with a share for each camera.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vas_frame::PublishMeta;

use crate::outcome::{Outcome, Outcomes};

/// Why a frame can't be taken now: it must be dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The camera has the most frames in flight that it may have.
    #[error("the camera has its maximum of frames in flight")]
    InFlight,
    /// The device is lost.
    #[error("the GPU is lost to this process")]
    DeviceLost,
    /// The engine has stopped.
    #[error("the download engine has stopped")]
    Stopped,
}

/// The engine has too few permits left for a copy queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the download engine has {left} permits left; {wanted} were requested")]
pub struct NoPermits {
    /// Permits that were requested.
    pub wanted: u32,
    /// Permits that no copy queue holds.
    pub left: u32,
}

/// The engine's state for a camera.
pub(crate) struct Camera {
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

impl Camera {
    /// # Errors
    /// The other copy queues hold the engine's permits.
    pub(crate) fn new(
        semaphore: Arc<Semaphore>,
        limit: u32,
        outcomes: Arc<dyn Outcomes>,
    ) -> Result<Self, NoPermits> {
        semaphore.take(limit)?;
        Ok(Self { semaphore, limit, in_flight: AtomicU32::new(0), outcomes })
    }

    /// Most frames in flight.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(crate) fn admit(self: &Arc<Self>) -> Option<Permit> {
        let one_more = |n: u32| (n < self.limit).then_some(n + 1);
        // Partner: the release in `Permit::drop`. Taking the permit implies that its last surface
        // was given back.
        let counted = self.in_flight.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more);
        counted.ok().map(|_| Permit(Arc::clone(self)))
    }
}

/// A permit for one frame in flight; dropping it gives it back.
pub struct Permit(Arc<Camera>);

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").finish()
    }
}

impl Permit {
    /// The frame is finished: returns its permit first, then reports the outcome.
    pub(crate) fn settle(self, meta: &PublishMeta, outcome: Outcome) {
        let outcomes = Arc::clone(&self.0.outcomes);
        drop(self);
        outcomes.settled(meta, outcome);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

/// Permits that no copy queue holds.
pub(crate) struct Semaphore {
    left: AtomicU32,
    all: u32,
}

impl Semaphore {
    pub(crate) fn new(permits: u32) -> Self {
        Self { left: AtomicU32::new(permits), all: permits }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.left.load(Ordering::Relaxed) == self.all
    }

    pub(crate) fn take(&self, wanted: u32) -> Result<(), NoPermits> {
        let relaxed = Ordering::Relaxed;
        let taken = self.left.fetch_update(relaxed, relaxed, |left| left.checked_sub(wanted));
        taken.map(|_| ()).map_err(|left| NoPermits { wanted, left })
    }

    pub(crate) fn give_back(&self, permits: u32) {
        self.left.fetch_add(permits, Ordering::Relaxed);
    }
}
