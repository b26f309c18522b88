//! The signals that a process handles, in a form that can be polled.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// What the kernel sends to a shard when the supervisor has died. Not SIGTERM, so that the two
/// reasons to end can be distinguished. Until it is caught it ends the process too.
pub const ORPHANED: rustix::process::Signal = rustix::process::Signal::USR1;

/// Signals that are caught; the rest keep their actions.
#[derive(Debug)]
pub struct Signals(SignalDelivery<UnixStream, SignalOnly>);

/// Signals since the last check.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// To stop.
    pub stop: bool,
    /// To read the config again.
    pub reload: bool,
    /// The supervisor has died, whether or not its end of the socket is closed yet.
    pub orphaned: bool,
}

impl Signals {
    /// Those of the supervisor: SIGTERM and SIGINT stop, SIGHUP reloads. SIGCHLD only wakes: each
    /// process is then checked.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn of_supervisor() -> io::Result<Self> {
        Self::catch(&[SIGTERM, SIGINT, SIGHUP, SIGCHLD])
    }

    /// Those of a shard: SIGTERM stops, and [`ORPHANED`] reports that the supervisor is gone.
    /// SIGINT and SIGHUP, which a terminal sends to all processes at once, are left to the
    /// supervisor.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn of_shard() -> io::Result<Self> {
        for signal in [SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::<AtomicBool>::default())?;
        }
        Self::catch(&[SIGTERM, SIGUSR1])
    }

    fn catch(signals: &[i32]) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        SignalDelivery::with_pipe(read, write, SignalOnly, signals).map(Self)
    }

    /// Readable when a signal has arrived.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
    }

    /// Those since the last call.
    pub fn take(&mut self) -> Came {
        let mut came = Came::default();
        for signal in self.0.pending() {
            match signal {
                SIGTERM | SIGINT => came.stop = true,
                SIGHUP => came.reload = true,
                SIGUSR1 => came.orphaned = true,
                _ => {}
            }
        }
        came
    }
}
