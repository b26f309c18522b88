//! What a panic costs in a thread of the frame path: only the work at hand, which is counted. The
//! thread goes on, so nothing needs a restart that could fail.

use std::sync::atomic::{AtomicU64, Ordering};

use vas_frame::CameraId;
pub(super) use vas_threads::caught;

/// Panics that a frame path survived.
#[derive(Debug, Default)]
pub(super) struct Panics {
    count: AtomicU64,
    /// Where the next panic is to happen, for tests.
    #[cfg(test)]
    armed: std::sync::Mutex<Option<&'static str>>,
}

impl Panics {
    /// Runs a piece of `part`'s work for a camera, or for all; `None` when it panicked, which is
    /// logged and counted. The caller repairs what the work may have left half done.
    pub(super) fn catch<R>(
        &self,
        part: &'static str,
        camera: Option<&CameraId>,
        work: impl FnOnce() -> R,
    ) -> Option<R> {
        let work = || {
            self.trip(part);
            work()
        };
        caught(work).map_err(|words| self.note(part, camera, &words)).ok()
    }

    /// Logs and counts a panic that was caught elsewhere.
    pub(super) fn note(&self, part: &str, camera: Option<&CameraId>, words: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            camera = camera.map(tracing::field::display),
            "internal error in the {part} of the frame path: {words}; that part restarts"
        );
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A point where a test may make the frame path panic.
    pub(super) fn trip(&self, _place: &'static str) {
        #[cfg(test)]
        {
            let mut armed = self.armed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let hit = armed.take_if(|armed| *armed == _place).is_some();
            drop(armed);
            assert!(!hit, "injected by a test");
        }
    }

    /// Makes the next work at `place` panic.
    #[cfg(test)]
    pub(super) fn arm(&self, place: &'static str) {
        *self.armed.lock().unwrap() = Some(place);
    }
}
