//! Wakes a thread that waits for sockets and a queue at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// A file descriptor that is readable from [`signal`](Self::signal) to [`clear`](Self::clear).
#[derive(Debug)]
pub struct Wakeup(OwnedFd);

impl Wakeup {
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes; never waits. A count that is full is already readable.
    pub fn signal(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Waits for a signal, up to `longest`; may return early. The signal stays until [`clear`](Self::clear).
    pub fn wait(&self, longest: Duration) {
        let timeout = longest.try_into().ok();
        let _ = poll(&mut [PollFd::new(self, PollFlags::IN)], timeout.as_ref());
    }

    /// Consumes pending signals. Check what they announced afterwards, not before.
    pub fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
