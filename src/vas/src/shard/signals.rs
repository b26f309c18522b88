//! What a shard does about signals.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// SIGTERM asks to stop. The kernel sends [`ORPHANED`] when the supervisor has died. SIGINT and SIGHUP, which a
/// terminal sends to all processes at once, are the supervisor's business.
#[derive(Debug)]
pub(super) struct Signals {
    stop: Arc<AtomicBool>,
    orphaned: Arc<AtomicBool>,
    wake: UnixStream,
}

/// Not SIGTERM: why a shard ends must be told from why it was asked to. Until it is caught it ends the process too.
pub(super) const ORPHANED: rustix::process::Signal = rustix::process::Signal::USR1;

impl Signals {
    pub(super) fn catch() -> io::Result<Self> {
        let (stop, orphaned) = (Arc::default(), Arc::default());
        let (wake, ring) = UnixStream::pair()?;
        // In this order: who is woken finds the flag set.
        for (signal, set) in [(SIGTERM, &stop), (SIGUSR1, &orphaned)] {
            signal_hook::flag::register(signal, Arc::clone(set))?;
            signal_hook::low_level::pipe::register(signal, ring.try_clone()?)?;
        }
        for signal in [SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::default())?;
        }
        Ok(Self { stop, orphaned, wake })
    }

    /// Readable once a signal has come.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    pub(super) fn asked_to_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The supervisor has died, whether or not its end of the socket is closed yet.
    pub(super) fn orphaned(&self) -> bool {
        self.orphaned.load(Ordering::SeqCst)
    }
}
