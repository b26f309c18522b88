//! Waiting threads, and the times at which they were awake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use rustix::thread::{Pid, sched_getcpu};
use vas_frame::{Reader, monotonic_ns};

use crate::machine::{asleep, thread_id};

const LONG: Duration = Duration::from_secs(60);

/// Threads that are woken together.
#[derive(Debug)]
pub struct Waiters {
    threads: Vec<Pid>,
    awake: Arc<[Awake]>,
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

/// When a thread was awake, and on which processor.
#[derive(Debug, Default)]
struct Awake {
    at_ns: AtomicU64,
    cpu: AtomicUsize,
}

/// What a wake-up did.
#[derive(Debug)]
pub struct Woken {
    /// How long the waker took.
    pub took: Duration,
    /// Each waiter.
    pub waiters: Vec<WokenWaiter>,
}

/// What a wake-up did to a waiter.
#[derive(Clone, Copy, Debug)]
pub struct WokenWaiter {
    /// How long after the start of the wake-up it was awake.
    pub after: Duration,
    /// Whether it woke on the processor that the waker ran on.
    pub same_cpu: bool,
}

impl Woken {
    /// How long after the start of the wake-up the last waiter was awake.
    #[must_use]
    pub fn last(&self) -> Duration {
        self.waiters.iter().map(|waiter| waiter.after).max().unwrap_or_default()
    }
}

impl Waiters {
    /// Starts threads that call `wait` repeatedly, each with its own state.
    pub fn start<S: Send + 'static>(
        count: usize,
        state: impl Fn() -> S,
        wait: impl Fn(&mut S) + Send + Copy + 'static,
    ) -> Self {
        let awake: Arc<[Awake]> = (0..count).map(|_| Awake::default()).collect();
        let awake_count = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let main: Thread = std::thread::current();
        let ids = (0..count).map(|index| {
            let (awake, awake_count, stop) = (awake.clone(), awake_count.clone(), stop.clone());
            let (main, mut state) = (main.clone(), state());
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                sender.send(thread_id()).expect("the starter is receiving");
                loop {
                    wait(&mut state);
                    awake[index].at_ns.store(monotonic_ns(), Ordering::Relaxed);
                    awake[index].cpu.store(sched_getcpu(), Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if awake_count.fetch_add(1, Ordering::AcqRel) + 1 == awake.len() {
                        main.unpark();
                    }
                }
            });
            receiver.recv().expect("the thread sends its id first")
        });
        Self { threads: ids.collect(), awake, count: awake_count, stop }
    }

    /// Waits until the kernel reports that all of them sleep.
    pub fn settle(&self) {
        while !self.threads.iter().all(|thread| asleep(*thread)) {
            std::thread::yield_now();
        }
    }

    /// Wakes them with `ring`. They sleep before: see [`settle`](Self::settle).
    pub fn wake(&self, ring: impl FnOnce()) -> Woken {
        self.count.store(0, Ordering::Release);
        let cpu = sched_getcpu();
        let start = monotonic_ns();
        ring();
        let rung = monotonic_ns();
        while self.count.load(Ordering::Acquire) < self.threads.len() {
            std::thread::park();
        }
        let since = |at: u64| Duration::from_nanos(at.saturating_sub(start));
        let waiters = self.awake.iter().map(|awake| WokenWaiter {
            after: since(awake.at_ns.load(Ordering::Relaxed)),
            same_cpu: awake.cpu.load(Ordering::Relaxed) == cpu,
        });
        Woken { took: since(rung), waiters: waiters.collect() }
    }

    /// Makes each end after its next wake-up.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Waits for a frame newer than the last one, as a reader does.
pub fn wait_for_frame(reader: &mut Reader) {
    reader.set_timeout(LONG).newer().expect("frames come");
}
