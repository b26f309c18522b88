//! A frame in flight: a surface, the slot that it goes into, and its outcome.

use vas_frame::{ClaimedSlot, PublishMeta};
use vas_scale::Plan;

use crate::guard::Guard;
use crate::outcome::{Failure, Outcome};
use crate::permit::Permit;

/// A plane in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePlane {
    /// Address of the first visible byte.
    pub address: u64,
    /// Bytes from one row to the next.
    pub pitch: usize,
}

/// The samples of a surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// NV12: a byte each.
    Bytes,
    /// P010: the high bits of little-endian 16-bit words. Addresses and pitches are even.
    Words,
}

/// The visible picture of a surface, crop applied; excludes the padding between planes and beside
/// rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Visible width in pixels.
    pub width: u32,
    /// Visible height in pixels.
    pub height: u32,
    /// The form of its samples.
    pub samples: Samples,
    /// One sample a pixel.
    pub luma: DevicePlane,
    /// A pair of samples for two by two pixels, sides rounded up.
    pub chroma: DevicePlane,
}

/// A decoded picture in device memory, lent by a decoder for as long as this lives.
///
/// The picture is complete once the decode stream has done what was queued on it before
/// [`GpuCopyQueue::submit`](crate::GpuCopyQueue::submit). Dropped on the reaper's thread, with the
/// context current, once its copy has ended: dropping may call the driver (it unmaps), but anything
/// slow, such as destroying a decoder with its last surface, must be left to another thread.
pub trait Surface: Send {
    /// Where the picture is. Called on the engine's thread.
    fn planes(&self) -> Planes;
}

/// A frame to be copied, and its slot.
pub(crate) struct Job<S> {
    pub(crate) surface: S,
    /// How the picture is scaled into the slot; `None`: it fills the slot as it is.
    pub(crate) plan: Option<Plan>,
    pub(crate) slot: ClaimedSlot,
    pub(crate) meta: PublishMeta,
    pub(crate) permit: Permit,
}

impl<S: Surface> Job<S> {
    /// The surface's planes, if the picture has the plan's size, and what comes of it the slot's.
    pub(crate) fn planes(&self) -> Result<Planes, Failure> {
        let (planes, slot) = (self.surface.planes(), self.slot.geometry());
        let slot = (slot.width(), slot.height());
        let (source, output) = self.plan.map_or((slot, slot), |plan| {
            let (source, output) = (plan.source(), plan.output());
            ((source.width, source.height), (output.width, output.height))
        });
        if (planes.width, planes.height) == source && output == slot {
            Ok(planes)
        } else {
            Err(Failure::Size(planes.width, planes.height, slot.0, slot.1))
        }
    }

    /// Publishes the frame, if its picture is in the slot, or gives it up; then nothing reads the
    /// surface or writes the slot any more. Each step runs even if the one before it failed.
    pub(crate) fn settle(self, landed: Result<Landed, Failure>, part: &str, guard: &Guard) {
        let Self { surface, slot, meta, permit, .. } = self;
        let outcome = guard.over(part, || match landed {
            Ok(Landed { staged }) => Outcome::Published { at_ns: slot.publish(&meta), staged },
            Err(failure) => {
                drop(slot);
                Outcome::Failed(failure)
            }
        });
        let outcome = outcome.unwrap_or(Outcome::Failed(Failure::Internal));
        guard.over(part, || drop(surface));
        guard.over(part, || permit.settle(&meta, outcome));
    }

    /// Gives the frame up, as [`settle`](Self::settle) does, on a thread that is not the engine's.
    pub(crate) fn give_up(self, failure: Failure) {
        let Self { surface, slot, meta, permit, .. } = self;
        drop(slot);
        drop(surface);
        permit.settle(&meta, Outcome::Failed(failure));
    }
}

/// A copy that succeeded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Landed {
    /// Its ring was not pinned.
    pub(crate) staged: bool,
}
