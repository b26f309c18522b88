//! The signals that the supervisor acts on, as something that can be polled.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

#[derive(Debug)]
pub(super) struct Signals(SignalDelivery<UnixStream, SignalOnly>);

/// What came since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) stop: bool,
    pub(super) reload: bool,
}

impl Signals {
    pub(super) fn catch() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        // SIGCHLD only wakes: whether a process has ended is asked of each.
        let signals = [SIGTERM, SIGINT, SIGHUP, SIGCHLD];
        SignalDelivery::with_pipe(read, write, SignalOnly, signals).map(Self)
    }

    /// Readable when something came.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
    }

    pub(super) fn take(&mut self) -> Came {
        let mut came = Came::default();
        for signal in self.0.pending() {
            match signal {
                SIGTERM | SIGINT => came.stop = true,
                SIGHUP => came.reload = true,
                _ => {}
            }
        }
        came
    }
}
