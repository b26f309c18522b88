//! The flag that makes blocking calls of this crate return.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
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
    gate: Mutex<Listeners>,
    wake: Condvar,
}

/// The futures that wait, at most one waker each.
#[derive(Default)]
struct Listeners {
    next_id: u64,
    wakers: Vec<(u64, Waker)>,
}

impl StopFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes those that sleep on it.
    pub fn stop(&self) {
        let mut gate = self.gate();
        // Release: what the caller wrote before is seen by who reads `true` in `is_stopped`.
        self.0.stopped.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut gate.wakers);
        drop(gate);
        self.0.wake.notify_all();
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// A future that is done when the flag is set.
    pub(crate) fn stopped(&self) -> Stopped {
        let mut gate = self.gate();
        gate.next_id += 1;
        Stopped { flag: self.clone(), id: gate.next_id }
    }

    /// A panic in a thread that held it left the list as it was.
    fn gate(&self) -> MutexGuard<'_, Listeners> {
        self.0.gate.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut gate = self.gate();
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

/// Waits for a [`StopFlag`].
pub(crate) struct Stopped {
    flag: StopFlag,
    id: u64,
}

impl Future for Stopped {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut gate = self.flag.gate();
        if self.flag.is_stopped() {
            return Poll::Ready(());
        }
        match gate.wakers.iter_mut().find(|(id, _)| *id == self.id) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => gate.wakers.push((self.id, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.flag.gate().wakers.retain(|(id, _)| *id != self.id);
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
    fn futures_are_woken_and_leave_nothing() {
        let flag = StopFlag::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..3 {
            runtime.block_on(async {
                let mut stopped = flag.stopped();
                std::future::poll_fn(|context| {
                    assert!(Pin::new(&mut stopped).poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
            });
        }
        assert!(flag.gate().wakers.is_empty());
        let waiter = std::thread::spawn({
            let flag = flag.clone();
            move || runtime.block_on(flag.stopped())
        });
        flag.stop();
        waiter.join().unwrap();
    }

    #[test]
    fn waiting_ends_without_a_stop() {
        assert!(!StopFlag::new().wait_for(Duration::from_millis(1)));
    }
}
