//! Question: what does handing a frame over cost the decode thread, against only waking a parked thread?
//!
//! The two alternate within one run. Each has its own thread to wake, and is timed from the same state: the kernel
//! reports both threads asleep. One of the two runs each 33 ms for each of 1, 4 and 16 cameras; `loop` runs them
//! as fast as possible, with one camera.
//!
//!     cargo bench -p vas-bench --bench handover [-- loop]

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Instant;

use vas_bench::{CAMERAS, Distribution, Options, Pace, asleep, threads_named};
use vas_media::Frame;

mod frame_path;

use frame_path::{Export, Pictures};

/// Of each of the two, at a camera's pace and in a loop.
const PACED_TURNS: usize = 500;
const LOOP_TURNS: usize = 20_000;

fn main() {
    let parked = Parked::start();
    if Options::of_this_process().looped {
        return run(&parked, 1, LOOP_TURNS, || 0);
    }
    for cameras in CAMERAS {
        let mut pace = Pace::new(cameras);
        run(&parked, cameras, PACED_TURNS, || pace.next_camera());
    }
}

/// `next_camera` waits until the next frame is due.
fn run(parked: &Parked, cameras: usize, turns: usize, mut next_camera: impl FnMut() -> usize) {
    let mut export = Export::start(cameras, "slots = 64\nhold = \"1ms\"");
    let mut pictures = Pictures::open("testsrc:64x64@240", None);
    export.cameras.iter_mut().for_each(|camera| camera.warm_up(&mut pictures));
    let picture = pictures.next();
    let exported =
        |export: &Export| export.cameras.iter().map(|camera| camera.exported()).sum::<u64>();
    let before = exported(&export);
    let sleepers = ["vas-copy-0", Parked::NAME].map(the_thread);
    let (mut bare, mut handed) = (Distribution::default(), Distribution::default());
    // Each camera has both in turn, whatever the number of cameras.
    for turn in 0..2 * turns {
        let camera = &mut export.cameras[next_camera()];
        let hands_over = (turn % cameras + turn / cameras).is_multiple_of(2);
        let mut frame = Frame::new();
        frame.ref_from(&picture).expect("memory for a reference");
        let settled = camera.settled();
        let seen = parked.woken.load(Ordering::SeqCst);
        let start = Instant::now();
        if hands_over {
            camera.tap.take(&mut frame);
            handed.add(start.elapsed());
            while camera.settled() == settled {
                std::hint::spin_loop();
            }
        } else {
            parked.thread.unpark();
            bare.add(start.elapsed());
            while parked.woken.load(Ordering::SeqCst) == seen {
                std::hint::spin_loop();
            }
        }
        // Not just before the next turn: looking at the threads warms what the kernel knows of them.
        while !sleepers.iter().all(|thread| asleep(*thread)) {
            std::thread::yield_now();
        }
    }
    println!("\ncameras {cameras:<16} {}", Distribution::COLUMNS);
    println!("  bare unpark             {bare}");
    println!("  admit, claim, hand over {handed}");
    for percent in [50, 90, 99] {
        let [ours, bare] = [&handed, &bare].map(|times| times.percentile(percent).as_secs_f64());
        println!("  p{percent} ratio {:.2}", ours / bare);
    }
    let exported = exported(&export) - before;
    let dropped: Vec<_> = export.cameras.iter().flat_map(|camera| camera.dropped()).collect();
    assert_eq!(exported, handed.samples().len() as u64, "dropped since the start: {dropped:?}");
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
