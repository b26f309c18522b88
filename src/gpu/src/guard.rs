//! What a panic costs in a thread of the engine: only the frame at hand.

use std::fmt;

use vas_threads::caught;

/// Called after a panic with the part that panicked and the message.
pub type OnPanic = Box<dyn Fn(&str, &str) + Send + Sync>;

/// Catches panics and reports them.
pub(crate) struct Guard(OnPanic);

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").finish()
    }
}

impl Guard {
    pub(crate) fn new(on_panic: OnPanic) -> Self {
        Self(on_panic)
    }

    /// Runs a piece of a part's work; `None` when it panicked. The caller repairs what the work may
    /// have left half done: memory that a copy may still write to must not have been freed with it.
    pub(crate) fn over<R>(&self, part: &str, work: impl FnOnce() -> R) -> Option<R> {
        caught(work).map_err(|words| (self.0)(part, &words)).ok()
    }
}
