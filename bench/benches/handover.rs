//! What a hand-over costs the decode thread, compared with only waking a parked thread.
//!
//! The two alternate within one run. Each has its own thread to wake, and is timed from the same
//! state: the kernel reports both threads asleep. `bench/run.sh handover` runs it and keeps the
//! result.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Instant;

use vas_pipeline::FrameSink as _;

use super::tests::rig::{Rig, decoded, share};

const TURNS: usize = 20_000;

#[test]
#[ignore = "a measurement, not a check: see bench/run.sh"]
fn measure_handover() {
    let mut rig = Rig::new("slots = 64\nhold = \"1ms\"");
    let (stream, frames) = decoded("64x64", 1);
    rig.warm_up(&stream, &frames[0]);
    let parked = Parked::start();
    let sleepers = [task("vas-copy-0"), task(Parked::NAME)];
    let (mut bare, mut handed) = (Vec::new(), Vec::new());
    for turn in 0..2 * TURNS {
        let mut frame = share(&frames[0]);
        let settled = rig.settled();
        let seen = parked.woken.load(Ordering::SeqCst);
        sleepers.iter().for_each(until_asleep);
        let start = Instant::now();
        // Alternate which one goes first.
        if turn % 2 == 0 {
            parked.thread.unpark();
            bare.push(start.elapsed().as_nanos() as u64);
            while parked.woken.load(Ordering::SeqCst) == seen {
                std::hint::spin_loop();
            }
        } else {
            rig.tap.take(&mut frame);
            handed.push(start.elapsed().as_nanos() as u64);
            while rig.settled() == settled {
                std::hint::spin_loop();
            }
        }
    }
    report("bare unpark of a parked thread", &mut bare);
    report("tap: admit, claim, hand over   ", &mut handed);
    for (name, per_mille) in [("p50", 500), ("p90", 900), ("p99", 990)] {
        let [ours, bare] = [&handed, &bare].map(|times| percentile(times, per_mille) as f64);
        println!("{name} ratio {:.2}", ours / bare);
    }
    println!("exported {}, dropped {:?}", rig.input_stats.counters.exported(), rig.dropped());
}

/// A thread that parks, counts each wake-up and parks again.
struct Parked {
    thread: Thread,
    woken: Arc<AtomicU64>,
}

impl Parked {
    const NAME: &str = "bare-parked";

    fn start() -> Self {
        let woken = Arc::new(AtomicU64::new(0));
        let of_thread = Arc::clone(&woken);
        let thread = std::thread::Builder::new().name(Self::NAME.into()).spawn(move || {
            loop {
                std::thread::park();
                of_thread.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { thread: thread.unwrap().thread().clone(), woken }
    }
}

/// The `stat` file of a thread of this process.
fn task(name: &str) -> PathBuf {
    loop {
        for task in std::fs::read_dir("/proc/self/task").unwrap() {
            let task = task.unwrap().path();
            if std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name) {
                return task.join("stat");
            }
        }
    }
}

/// Waits until the kernel reports the thread asleep.
fn until_asleep(stat: &PathBuf) {
    while !std::fs::read_to_string(stat).unwrap().contains(") S ") {
        std::thread::yield_now();
    }
}

fn percentile(sorted: &[u64], per_mille: usize) -> u64 {
    sorted[(sorted.len() - 1) * per_mille / 1000]
}

fn report(name: &str, times: &mut [u64]) {
    times.sort_unstable();
    let [p50, p90, p99, p999] = [500, 900, 990, 999].map(|at| percentile(times, at));
    let n = times.len();
    println!("{name}: p50 {p50} ns, p90 {p90} ns, p99 {p99} ns, p99.9 {p999} ns, n {n}");
}
