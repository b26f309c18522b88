//! Question: how long after a publication is a waiting reader awake, and how much of that time is the
//! kernel's?
//!
//! Readers wait in `newer` (`Vas`), as many threads in a bare `FUTEX_WAIT` on a word in shared memory (`Futex`). In
//! turns, a frame is published, or the word is changed and its waiters are woken. Time counts from before the
//! publication or the change until the waiter has its frame or sees the word changed. A turn starts when the kernel
//! reports that all of them sleep.
//!
//! At a camera's pace, 1, 4 or 16 cameras with 1 to 16 readers each have a frame every 33 ms, and one camera has a
//! crowd of 1,000. No thread is pinned. `same cpu` and `other cpu` are the shares, and the medians, of waiters that
//! woke on the waker's processor and on another one.
//!
//! `loop` wakes one to four readers as fast as possible.
//!
//!     cargo bench -p vas-bench --bench wake [-- [loop] FILTER]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use criterion::Criterion;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::thread::futex;
use vas_bench::{
    CAMERAS, Distribution, Options, Pace, Peaks, Rig, Shuffle, Waiters, Woken, measure,
    wait_for_frame,
};

/// Readers of each camera, and how many cameras.
const READERS: [(usize, &[usize]); 6] =
    [(1, &CAMERAS), (2, &CAMERAS), (4, &CAMERAS), (8, &CAMERAS), (16, &CAMERAS), (1000, &[1])];
/// Wake-ups of each way at a camera's pace.
const PACED_TURNS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Vas,
    Futex,
}

const WAYS: [Way; 2] = [Way::Vas, Way::Futex];

/// A word in shared memory, on which waiters in any process could wait.
fn shared_word() -> &'static AtomicU32 {
    let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: a new mapping, which is never unmapped.
    let word = unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, access, flags) };
    // SAFETY: a page of zeros that is never unmapped.
    unsafe { &*word.expect("a page").cast::<AtomicU32>() }
}

fn wait_for_change(word: &AtomicU32, seen: &mut u32) {
    while word.load(Ordering::Acquire) == *seen {
        // Woken, changed meanwhile or interrupted: the loop checks.
        let _ = futex::wait(word, futex::Flags::empty(), *seen, None);
    }
    *seen = word.load(Ordering::Acquire);
}

fn ring_word(word: &AtomicU32) {
    const ALL: u32 = i32::MAX as u32;
    word.fetch_add(1, Ordering::Release);
    let _ = futex::wake(word, futex::Flags::empty(), ALL);
}

/// A camera with readers, and the bare waiters that they are compared with.
struct Camera {
    rig: Rig,
    readers: Waiters,
    word: &'static AtomicU32,
    bare: Waiters,
}

impl Camera {
    fn new(readers: usize) -> Self {
        let (rig, word) = (Rig::new(Rig::geometry(64, 64)), shared_word());
        let bare = Waiters::start(readers, || 0, move |seen| wait_for_change(word, seen));
        let readers = Waiters::start(readers, || rig.reader(), wait_for_frame);
        let camera = Self { rig, readers, word, bare };
        camera.settle();
        camera
    }

    fn settle(&self) {
        self.readers.settle();
        self.bare.settle();
    }

    fn wake(&mut self, way: Way) -> Woken {
        let slot = self.rig.claim();
        let meta = self.rig.meta();
        match way {
            Way::Vas => self.readers.wake(|| _ = slot.publish(&meta)),
            Way::Futex => self.bare.wake(|| ring_word(self.word)),
        }
    }

    fn end(mut self) {
        self.readers.stop();
        self.bare.stop();
        let meta = self.rig.meta();
        self.rig.claim().publish(&meta);
        ring_word(self.word);
    }
}

/// What was seen of one way.
#[derive(Default)]
struct Seen {
    peaks: Peaks,
    waker: Distribution,
}

impl Seen {
    fn add(&mut self, woken: &Woken) {
        self.peaks.add(woken);
        self.waker.add(woken.took);
    }
}

fn report(seen: &[Seen; WAYS.len()]) {
    println!("  way   {}  waker us    ratio", Peaks::COLUMNS);
    let p50 = |times: &Distribution| times.percentile(50).as_secs_f64() * 1e6;
    let bare = p50(&seen[Way::Futex as usize].peaks.all);
    for way in WAYS {
        let Seen { peaks, waker } = &seen[way as usize];
        let (waker, ratio) = (p50(waker), p50(&peaks.all) / bare);
        println!("  {:<6}{peaks} {waker:>9.1} {ratio:>8.2}", format!("{way:?}"));
    }
}

fn paced(options: &Options, readers: usize, cameras: usize) {
    let title = format!("readers {readers} cameras {cameras}");
    if !options.wants(&title) {
        return;
    }
    let mut all: Vec<Camera> = (0..cameras).map(|_| Camera::new(readers)).collect();
    let (mut pace, mut shuffle) = (Pace::new(cameras), Shuffle::default());
    let mut seen = WAYS.map(|_| Seen::default());
    for _ in 0..PACED_TURNS {
        for way in shuffle.order(WAYS.len()) {
            let camera = &mut all[pace.next_camera()];
            seen[way].add(&camera.wake(WAYS[way]));
            // Looking at the threads warms what the kernel knows of them, so not just before they are woken.
            camera.settle();
        }
    }
    println!("\n{title}");
    report(&seen);
    all.into_iter().for_each(Camera::end);
}

fn in_a_loop(criterion: &mut Criterion, readers: usize) {
    let mut camera = Camera::new(readers);
    let mut seen = WAYS.map(|_| Seen::default());
    let title = format!("{readers} waiting, until the last is awake");
    measure(criterion, &title, &WAYS, &[Way::Futex], |way| {
        camera.settle();
        let woken = camera.wake(way);
        seen[way as usize].add(&woken);
        woken.last()
    });
    if !seen[0].waker.samples().is_empty() {
        println!("{readers} waiting, until each is awake");
        report(&seen);
    }
    camera.end();
}

fn main() {
    let options = Options::of_this_process();
    if options.looped {
        let (warm_up, measured) = (Duration::from_millis(200), Duration::from_millis(1500));
        let mut criterion = options.criterion().warm_up_time(warm_up).measurement_time(measured);
        (1..=4).for_each(|readers| in_a_loop(&mut criterion, readers));
        return criterion.final_summary();
    }
    for (readers, counts) in READERS {
        counts.iter().for_each(|&cameras| paced(&options, readers, cameras));
    }
}
