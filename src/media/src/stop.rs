//! The stop flag, which makes blocking calls of this crate return.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Tells everything that runs for one camera to return soon.
///
/// Clones share the flag. Once set it stays set. FFmpeg's network calls check it about ten times a
/// second; a paced source waits on it and wakes at once.
#[derive(Clone, Default)]
pub struct StopFlag(Arc<State>);

#[derive(Default)]
struct State {
    stopped: AtomicBool,
    /// Held while setting `stopped`, so that a waiter between its check and its sleep is not missed.
    futures: Mutex<Futures>,
    wake: Condvar,
}

/// The waiting futures, with at most one waker each.
#[derive(Default)]
struct Futures {
    next_id: u64,
    wakers: Vec<(u64, Waker)>,
}

impl StopFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes all waiters.
    pub fn stop(&self) {
        let mut futures = self.futures();
        // Release: a thread that reads `true` in `is_stopped` sees the caller's earlier writes.
        self.0.stopped.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut futures.wakers);
        drop(futures);
        self.0.wake.notify_all();
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// A future that completes when the flag is set.
    pub(crate) fn stopped(&self) -> Stopped {
        let mut futures = self.futures();
        futures.next_id += 1;
        Stopped { flag: self.clone(), id: futures.next_id }
    }

    /// Poisoning is ignored: no panic can leave the list inconsistent.
    fn futures(&self) -> MutexGuard<'_, Futures> {
        self.0.futures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`stop`](Self::stop) was called.
    pub fn is_stopped(&self) -> bool {
        // Acquire: partner of the release in `stop`.
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Sleeps for `duration` or until stopped, whichever comes first; returns whether it is stopped.
    pub fn wait_for(&self, duration: Duration) -> bool {
        self.wait_while(duration, || true);
        self.is_stopped()
    }

    /// Sleeps for `duration` or until stopped, as long as `wanted` returns true; [`recheck`](Self::recheck) has it
    /// called again.
    pub(crate) fn wait_while(&self, duration: Duration, wanted: impl Fn() -> bool) {
        let Some(until) = Instant::now().checked_add(duration) else { return };
        let mut futures = self.futures();
        while !self.is_stopped() && wanted() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            futures = match self.0.wake.wait_timeout(futures, left) {
                Ok((futures, _)) => futures,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Wakes those that sleep on the flag, so that they check whether they still have to.
    pub(crate) fn recheck(&self) {
        // Under the lock, so that a waiter between its check and its sleep is not missed.
        let _futures = self.futures();
        self.0.wake.notify_all();
    }
}

/// The future of [`StopFlag::stopped`].
pub(crate) struct Stopped {
    flag: StopFlag,
    id: u64,
}

impl Future for Stopped {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut futures = self.flag.futures();
        if self.flag.is_stopped() {
            return Poll::Ready(());
        }
        match futures.wakers.iter_mut().find(|(id, _)| *id == self.id) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => futures.wakers.push((self.id, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.flag.futures().wakers.retain(|(id, _)| *id != self.id);
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
    fn a_stop_wakes_waiting_threads() {
        let flag = StopFlag::new();
        let waiter = std::thread::spawn({
            let flag = flag.clone();
            move || flag.wait_for(Duration::from_secs(3600))
        });
        flag.stop();
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn a_stop_wakes_futures_and_dropped_futures_leave_no_waker() {
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
        assert!(flag.futures().wakers.is_empty());
        let waiter = std::thread::spawn({
            let flag = flag.clone();
            move || runtime.block_on(flag.stopped())
        });
        flag.stop();
        waiter.join().unwrap();
    }

    #[test]
    fn waiting_times_out_without_a_stop() {
        assert!(!StopFlag::new().wait_for(Duration::from_millis(1)));
    }
}
