//! Where workers sleep until there is work; waking one takes at most one system call.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread::Thread;

/// Sleeping workers, as bits. A waker clears one bit and unparks that worker; no worker is woken
/// twice for one job, and no lock is taken.
#[derive(Debug, Default)]
pub struct EventCount {
    asleep: AtomicU64,
    threads: [OnceLock<Thread>; Self::MAX],
}

impl EventCount {
    /// The maximum number of workers.
    pub const MAX: usize = 16;

    /// Registers worker `index` to be woken. Each worker calls it before it first sleeps.
    pub fn enrol(&self, index: usize) {
        let _ = self.threads[index].set(std::thread::current());
    }

    /// Sleeps until woken, unless `has_work`. May return early.
    pub fn sleep(&self, index: usize, has_work: impl FnOnce() -> bool) {
        let bit = 1 << index;
        self.asleep.fetch_or(bit, Ordering::SeqCst);
        // Partner: the fence in `wake_one`. Either the waker sees the bit, or we see its work.
        fence(Ordering::SeqCst);
        if !has_work() {
            std::thread::park();
        }
        self.asleep.fetch_and(!bit, Ordering::SeqCst);
    }

    /// Wakes one sleeper, if any. Call it after the work has become visible.
    pub fn wake_one(&self) {
        // Partner: the fence in `sleep`.
        fence(Ordering::SeqCst);
        let mut asleep = self.asleep.load(Ordering::SeqCst);
        while asleep != 0 {
            let bit = asleep & asleep.wrapping_neg();
            let taken = self.asleep.compare_exchange_weak(
                asleep,
                asleep & !bit,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            match taken {
                Ok(_) => {
                    if let Some(thread) = self.threads[bit.trailing_zeros() as usize].get() {
                        thread.unpark();
                    }
                    return;
                }
                Err(now) => asleep = now,
            }
        }
    }

    /// Wakes all sleepers.
    pub fn wake_all(&self) {
        self.threads.iter().filter_map(OnceLock::get).for_each(Thread::unpark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Every job that is announced is seen: a lost wake-up hangs this test.
    #[test]
    fn no_wake_up_is_lost() {
        const JOBS: usize = 20_000;
        let (event_count, announced, done) =
            (EventCount::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for index in 0..2 {
                let (event_count, announced, done) = (&event_count, &announced, &done);
                scope.spawn(move || {
                    event_count.enrol(index);
                    while done.load(Ordering::SeqCst) < JOBS {
                        let took = announced
                            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                            .is_ok();
                        if took {
                            if done.fetch_add(1, Ordering::SeqCst) + 1 == JOBS {
                                event_count.wake_all();
                            }
                        } else {
                            event_count.sleep(index, || {
                                announced.load(Ordering::SeqCst) > 0
                                    || done.load(Ordering::SeqCst) == JOBS
                            });
                        }
                    }
                });
            }
            for _ in 0..JOBS {
                announced.fetch_add(1, Ordering::SeqCst);
                event_count.wake_one();
            }
        });
        assert_eq!(done.into_inner(), JOBS);
    }
}
