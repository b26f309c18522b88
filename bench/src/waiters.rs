//! Waiting threads, and the times at which they were awake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use rustix::thread::Pid;
use vas_frame::{Reader, monotonic_ns};

use crate::machine::{asleep, thread_id};

const LONG: Duration = Duration::from_secs(60);

/// Threads that are woken together.
#[derive(Debug)]
pub struct Waiters {
    threads: Vec<Pid>,
    /// The time at which each was awake.
    awake_ns: Arc<[AtomicU64]>,
    awake: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Waiters {
    /// Starts threads that call `wait` repeatedly, each with its own state.
    pub fn start<S: Send + 'static>(
        count: usize,
        state: impl Fn() -> S,
        wait: impl Fn(&mut S) + Send + Copy + 'static,
    ) -> Self {
        let awake_ns: Arc<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
        let awake = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let main: Thread = std::thread::current();
        let ids = (0..count).map(|index| {
            let (awake_ns, awake, stop) = (awake_ns.clone(), awake.clone(), stop.clone());
            let (main, mut state) = (main.clone(), state());
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                sender.send(thread_id()).expect("the starter is receiving");
                loop {
                    wait(&mut state);
                    awake_ns[index].store(monotonic_ns(), Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if awake.fetch_add(1, Ordering::AcqRel) + 1 == awake_ns.len() {
                        main.unpark();
                    }
                }
            });
            receiver.recv().expect("the thread sends its id first")
        });
        Self { threads: ids.collect(), awake_ns, awake, stop }
    }

    /// Wakes them with `ring`; returns how long that took, and how long after its start each was awake.
    pub fn wake(&self, ring: impl FnOnce()) -> (Duration, Vec<Duration>) {
        while !self.threads.iter().all(|thread| asleep(*thread)) {
            std::thread::yield_now();
        }
        self.awake.store(0, Ordering::Release);
        let start = monotonic_ns();
        ring();
        let rung = monotonic_ns();
        while self.awake.load(Ordering::Acquire) < self.threads.len() {
            std::thread::park();
        }
        let since = |at: u64| Duration::from_nanos(at.saturating_sub(start));
        let awake = self.awake_ns.iter().map(|at| since(at.load(Ordering::Relaxed)));
        (since(rung), awake.collect())
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
