//! The interface of the frame path, for programs that may or may not include it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use vas_config::Camera;
use vas_frame::CameraId;
use vas_status::SharedExport;

use super::decode::FrameSink;
use super::demand::Demand;
use super::state::InputStats;

/// The frame path of a process (`vas-export`). A part that is missing or fails costs exports only:
/// it reports the fault and retries.
///
/// A trait, so that a program without a frame path only lacks one crate.
pub trait Exporter: fmt::Debug + Send {
    /// Starts missing threads, if a retry is due. To be called about once a second.
    fn look_after(&mut self, now: Instant);

    /// Records why threads are missing, for all cameras that wait for them.
    fn refuse(&mut self, words: &str);

    /// Makes a camera's sink and the source of its export report. `demand` will follow its readers.
    fn add(
        &self,
        camera: &Camera,
        stats: &Arc<InputStats>,
        demand: &Arc<Demand>,
    ) -> (Box<dyn FrameSink>, Arc<dyn Exported>);

    /// Removes a camera's export and its files, once its decode thread has ended. The camera may
    /// then be added again.
    fn remove(&self, camera: &CameraId);

    /// Panics that its threads survived.
    fn panics(&self) -> u64;

    /// Stops everything, once the decode threads have ended: copies in flight finish, files are
    /// removed.
    fn stop(self: Box<Self>);
}

/// Reports on a camera's export.
pub trait Exported: fmt::Debug + Send + Sync {
    /// The report at `now`, for the status; the longest download is that since the last call. While nothing
    /// changes, it is the same.
    fn report(&self, now: Instant) -> SharedExport;

    /// Records why there is no export; returns whether the reason is new.
    fn refuse(&self, words: &str) -> bool;

    /// Clears the reason; a ring comes with the first reader.
    fn no_longer_refuse(&self);
}
