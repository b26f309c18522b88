//! Question: what does handing a frame over cost the decode thread, against only waking a parked thread?
//!
//! The two alternate within one run. Each has its own thread to wake, and is timed from the same state: the kernel
//! reports both threads asleep.
//!
//!     cargo bench -p vas-bench --bench handover

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Instant;

use vas_bench::{asleep, threads_named};
use vas_media::Frame;

mod frame_path;

use frame_path::{Export, Pictures};

const TURNS: usize = 20_000;

fn main() {
    let mut export = Export::start(1, "slots = 64\nhold = \"1ms\"");
    let camera = &mut export.cameras[0];
    let mut pictures = Pictures::open("testsrc:64x64@240", None);
    camera.warm_up(&mut pictures);
    let picture = pictures.next();
    let parked = Parked::start();
    let sleepers = ["vas-copy-0", Parked::NAME].map(the_thread);
    let (mut bare, mut handed) = (Vec::new(), Vec::new());
    for turn in 0..2 * TURNS {
        let mut frame = Frame::new();
        frame.ref_from(&picture).expect("memory for a reference");
        let settled = camera.settled();
        let seen = parked.woken.load(Ordering::SeqCst);
        while !sleepers.iter().all(|thread| asleep(*thread)) {
            std::thread::yield_now();
        }
        let start = Instant::now();
        // Alternate which one goes first.
        if turn % 2 == 0 {
            parked.thread.unpark();
            bare.push(start.elapsed().as_nanos() as u64);
            while parked.woken.load(Ordering::SeqCst) == seen {
                std::hint::spin_loop();
            }
        } else {
            camera.tap.take(&mut frame);
            handed.push(start.elapsed().as_nanos() as u64);
            while camera.settled() == settled {
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
    println!("exported {}, dropped {:?}", camera.exported(), camera.dropped());
    drop((picture, pictures));
    export.stop();
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
        Self { thread: thread.expect("a thread").thread().clone(), woken }
    }
}

/// A new thread names itself only after it has started.
fn the_thread(name: &str) -> rustix::thread::Pid {
    loop {
        if let [thread] = threads_named(name)[..] {
            return thread;
        }
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
