//! One camera's recordings, in the order in which they were made.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use vas_config::Keep;

use super::camera_dir::{CameraDir, Found};
use super::name::Name;
use super::retention::Kept;

/// Written by the camera's recorder, read and shortened by the housekeeper.
///
/// The wall clock is used once, when a folder is read; from then on recordings age by a clock that
/// is never set, and what was recorded later is younger, whatever its name says.
#[derive(Debug)]
pub(super) struct RecordingIndex {
    pub(super) keep: Keep,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// `None` while the folder is not ours: it is then not touched.
    dir: Option<PathBuf>,
    recordings: Vec<(Name, Kept)>,
}

impl RecordingIndex {
    pub(super) fn new(keep: Keep) -> Self {
        Self { keep, inner: Mutex::default() }
    }

    /// Loads the contents of a folder that was locked, at `now_ns`, which is `now` by the wall
    /// clock.
    pub(super) fn fill(
        &self,
        camera_dir: &CameraDir,
        found: Vec<Found>,
        now: Timestamp,
        now_ns: i64,
    ) {
        let mut inner = self.lock();
        let known = std::mem::take(&mut inner.recordings);
        let began_ns = |name: Name| match known.iter().find(|(known, _)| *known == name) {
            Some((_, kept)) => kept.began_ns,
            // A recording in the future has no age yet.
            None => now_ns.saturating_sub(name.age_ns(now).max(0)),
        };
        inner.recordings = found
            .into_iter()
            .map(|Found { name, bytes }| (name, Kept { began_ns: began_ns(name), bytes }))
            .collect();
        inner.recordings.sort_by_key(|(name, kept)| (kept.began_ns, *name));
        inner.dir = Some(camera_dir.dir().to_owned());
    }

    /// Adds the newest.
    pub(super) fn add(&self, name: Name, kept: Kept) {
        self.lock().recordings.push((name, kept));
    }

    /// The folder is no longer ours. What is known of it is kept.
    pub(super) fn leave(&self) {
        self.lock().dir = None;
    }

    /// The folder and its contents; `None` while it is not ours.
    pub(super) fn look(&self) -> Option<(PathBuf, Vec<Kept>)> {
        let inner = self.lock();
        Some((inner.dir.clone()?, inner.recordings.iter().map(|(_, kept)| *kept).collect()))
    }

    /// The oldest.
    pub(super) fn first(&self) -> Option<Name> {
        self.lock().recordings.first().map(|(name, _)| *name)
    }

    /// Removes the oldest, which has this name; returns whether its day is now empty.
    pub(super) fn removed(&self, name: Name) -> bool {
        let mut inner = self.lock();
        if inner.recordings.first().is_some_and(|(first, _)| *first == name) {
            inner.recordings.remove(0);
        }
        !inner.recordings.iter().any(|(other, _)| other.day() == name.day())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
