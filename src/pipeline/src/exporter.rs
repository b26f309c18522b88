//! What exports frames, seen from whoever puts cameras together: a program may have it or not.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use vas_config::Camera;
use vas_frame::CameraId;
use vas_status::ExportReport;

use super::decode::FrameSink;
use super::demand::Demand;
use super::state::InputStats;

/// The frame path of a process (`vas-export`). Whatever of it can't be had, or fails, costs exports only: it says so,
/// and asks again.
///
/// It is a trait so that a program without a frame path is one that lacks a crate, and nothing else.
pub trait Exporter: fmt::Debug + Send {
    /// Has the threads that are missing started, if it is time to. To be called about once a second.
    fn look_after(&mut self, now: Instant);

    /// Says why threads are not there, of all cameras that wait for them.
    fn refuse(&mut self, words: &str);

    /// Makes a camera's sink, and what shows its export. `demand` will be told of its readers.
    fn add(
        &self,
        camera: &Camera,
        stats: &Arc<InputStats>,
        demand: &Arc<Demand>,
    ) -> (Box<dyn FrameSink>, Arc<dyn Exported>);

    /// Takes a camera's export away, with its files, once its decode thread has ended. The camera may then be
    /// added again.
    fn remove(&self, camera: &CameraId);

    /// Panics of its threads that it got over.
    fn panics(&self) -> u64;

    /// Ends it all, once the decode threads have ended: copies in flight are finished, files removed.
    fn stop(self: Box<Self>);
}

/// What shows a camera's export.
pub trait Exported: fmt::Debug + Send + Sync {
    /// All of it at `now`, for the status; the longest download is that since the last call.
    fn report(&self, now: Instant) -> ExportReport;

    /// Says why there is no export; whether that is news.
    fn refuse(&self, words: &str) -> bool;

    /// What it was refused for is over; a ring comes with its first reader.
    fn no_longer_refuse(&self);
}
