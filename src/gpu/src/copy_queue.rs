//! A camera's way into the engine: what the tap holds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vas_frame::{ClaimedSlot, Stamp};

use crate::entrance::{Entrance, Room};
use crate::job::{Job, Outcome, Outcomes, Surface};

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

/// A lane for which the engine has no places left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the download engine has {left} places in flight left, and {wanted} were asked for")]
pub struct NoRoom {
    /// Places that were asked for.
    pub wanted: u32,
    /// Places that no lane has.
    pub left: u32,
}

/// One camera's way in. It may outlive the engine, which then admits nothing.
pub struct Lane<S> {
    entrance: Arc<Entrance<S>>,
    camera: Arc<Camera>,
}

/// What the engine knows of a camera.
struct Camera {
    room: Arc<Room>,
    limit: u32,
    in_flight: AtomicU32,
    outcomes: Arc<dyn Outcomes>,
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.room.give_back(self.limit);
    }
}

/// A place for one frame in flight; dropping it gives it back.
pub struct Place(Arc<Camera>);

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").finish()
    }
}

impl<S> fmt::Debug for Lane<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (in_flight, limit) = (self.in_flight(), self.camera.limit);
        f.debug_struct("Lane").field("in_flight", &in_flight).field("limit", &limit).finish()
    }
}

impl Place {
    /// The frame is done with: its place first, then the word of it.
    pub(crate) fn settle(self, stamp: &Stamp, outcome: Outcome) {
        let outcomes = Arc::clone(&self.0.outcomes);
        drop(self);
        outcomes.settled(stamp, outcome);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

impl<S> Lane<S> {
    pub(crate) fn new(
        entrance: &Arc<Entrance<S>>,
        limit: u32,
        outcomes: Arc<dyn Outcomes>,
    ) -> Result<Self, NoRoom> {
        let room = Arc::clone(entrance.room());
        room.take(limit)?;
        let camera = Camera { room, limit, in_flight: AtomicU32::new(0), outcomes };
        Ok(Self { entrance: Arc::clone(entrance), camera: Arc::new(camera) })
    }

    /// Frames of the camera that are on their way. Each holds a surface and a slot.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.camera.in_flight.load(Ordering::Acquire)
    }

    /// Whether nothing is admitted any more: the device is lost, or the engine stops.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.entrance.open().is_err()
    }

    /// A place for one more frame. To be asked for before a slot is claimed.
    ///
    /// # Errors
    /// Why the frame is to be dropped.
    pub fn admit(&self) -> Result<Place, NotAdmitted> {
        self.entrance.open()?;
        let one_more = |n: u32| (n < self.camera.limit).then_some(n + 1);
        // Partner: the release in `Place::drop`. Whoever gets the place finds the surface given back.
        let counted =
            self.camera.in_flight.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more);
        counted.map(|_| Place(Arc::clone(&self.camera))).map_err(|_| NotAdmitted::InFlight)
    }
}

impl<S: Surface> Lane<S> {
    /// Hands a frame over. The camera's [`Outcomes`] are told what becomes of it.
    ///
    /// A camera's frames are submitted in the order of their ids, by one thread at a time.
    pub fn submit(&self, place: Place, surface: S, slot: ClaimedSlot, stamp: Stamp) {
        self.entrance.enter(Job { surface, slot, stamp, place });
    }
}
