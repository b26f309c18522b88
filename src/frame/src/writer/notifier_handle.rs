//! A ring's handle to the notifier, in a module of its own because the notifier depends on rings.

#[cfg(loom)]
use crate::sync::thread;
use crate::sync::thread::Thread;

/// Wakes the notifier's thread.
#[derive(Debug, Clone)]
pub(crate) struct NotifierHandle(Thread);

impl NotifierHandle {
    pub(super) fn new(thread: &Thread) -> Self {
        Self(thread.clone())
    }

    /// A handle without a notifier, for a ring with few readers.
    #[cfg(loom)]
    pub(crate) fn unheard() -> Self {
        Self(thread::current())
    }

    pub(crate) fn notify(&self) {
        self.0.unpark();
    }
}
