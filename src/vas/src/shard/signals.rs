//! What a shard does about signals.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// SIGTERM asks to stop. SIGINT and SIGHUP, which a terminal sends to all processes at once, are the
/// supervisor's business.
#[derive(Debug)]
pub(super) struct Signals {
    stop: Arc<AtomicBool>,
    wake: UnixStream,
}

impl Signals {
    pub(super) fn catch() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, ring) = UnixStream::pair()?;
        // In this order: who is woken finds the flag set.
        signal_hook::flag::register(SIGTERM, Arc::clone(&stop))?;
        signal_hook::low_level::pipe::register(SIGTERM, ring)?;
        for signal in [SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::default())?;
        }
        Ok(Self { stop, wake })
    }

    /// Readable once a signal has come.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    pub(super) fn asked_to_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}
