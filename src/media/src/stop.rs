//! The flag that makes blocking calls of this crate return.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Asks whatever runs on behalf of one camera to return soon.
///
/// Clones share the flag. Once stopped it stays stopped. FFmpeg's network calls look at it about
/// ten times a second; a paced source sleeps on it and wakes at once.
#[derive(Clone, Default)]
pub struct StopFlag(Arc<State>);

#[derive(Default)]
struct State {
    stopped: AtomicBool,
    /// Held while `stopped` is set, so that a waiter between its check and its sleep is not missed.
    gate: Mutex<()>,
    wake: Condvar,
}

impl StopFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes those that sleep on it.
    pub fn stop(&self) {
        // The gate protects no data, so a poisoned one is as good as new.
        let gate = self.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
        // Release: what the caller wrote before is seen by who reads `true` in `is_stopped`.
        self.0.stopped.store(true, Ordering::Release);
        drop(gate);
        self.0.wake.notify_all();
    }

    /// Whether [`stop`](Self::stop) was called.
    pub fn is_stopped(&self) -> bool {
        // Acquire: partner of the release in `stop`.
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Sleeps for `duration` or until stopped, whichever is first; true when stopped.
    pub fn wait_for(&self, duration: Duration) -> bool {
        let Some(until) = Instant::now().checked_add(duration) else {
            return self.is_stopped();
        };
        let mut gate = self.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            gate = match self.0.wake.wait_timeout(gate, left) {
                Ok((gate, _)) => gate,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        drop(gate);
        self.is_stopped()
    }
}

impl fmt::Debug for StopFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StopFlag").field(&self.is_stopped()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_flag() {
        let flag = StopFlag::new();
        let other = flag.clone();
        assert!(!other.is_stopped());
        flag.stop();
        assert!(other.is_stopped());
    }

    #[test]
    fn a_sleeper_is_woken() {
        let flag = StopFlag::new();
        let sleeper = std::thread::spawn({
            let flag = flag.clone();
            move || flag.wait_for(Duration::from_secs(3600))
        });
        flag.stop();
        assert!(sleeper.join().unwrap());
    }

    #[test]
    fn waiting_ends_without_a_stop() {
        assert!(!StopFlag::new().wait_for(Duration::from_millis(1)));
    }
}
