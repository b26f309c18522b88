//! How a ring reaches the notifier, which knows rings.

#[cfg(loom)]
use crate::sync::thread;
use crate::sync::thread::Thread;

/// What a ring keeps to reach its notifier.
#[derive(Debug, Clone)]
pub(crate) struct NotifierHandle(Thread);

impl NotifierHandle {
    pub(super) fn new(thread: &Thread) -> Self {
        Self(thread.clone())
    }

    /// For a ring whose readers are few.
    #[cfg(loom)]
    pub(crate) fn unheard() -> Self {
        Self(thread::current())
    }

    pub(crate) fn notify(&self) {
        self.0.unpark();
    }
}
