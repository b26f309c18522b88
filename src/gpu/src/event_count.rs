//! A thread that sleeps until there is work, woken by at most one system call.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::Thread;

/// The thread, once it has enrolled.
#[derive(Debug, Default)]
pub(crate) struct EventCount {
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl EventCount {
    /// The calling thread is the one that sleeps. Called by it before it first does.
    pub(crate) fn enrol(&self) {
        // Only the owning thread calls this, once.
        let _first = self.thread.set(std::thread::current());
    }

    /// Sleeps until woken, unless `has_work` says otherwise. May return early.
    pub(crate) fn sleep(&self, has_work: impl FnOnce() -> bool) {
        self.asleep.store(true, Ordering::SeqCst);
        // Partner: the fence in `wake`. Either the waker sees us asleep, or we see its work.
        fence(Ordering::SeqCst);
        if !has_work() {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Wakes the thread if it sleeps. Call it after the work can be seen.
    pub(crate) fn wake(&self) {
        // Partner: the fence in `sleep`.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
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
        let (event_count, announced) = (EventCount::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                event_count.enrol();
                let mut done = 0;
                while done < JOBS {
                    match announced.swap(0, Ordering::SeqCst) {
                        0 => event_count.sleep(|| announced.load(Ordering::SeqCst) > 0),
                        some => done += some,
                    }
                }
                done
            });
            for _ in 0..JOBS {
                announced.fetch_add(1, Ordering::SeqCst);
                event_count.wake();
            }
            assert_eq!(worker.join().unwrap(), JOBS);
        });
    }
}
