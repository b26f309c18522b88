//! Question: how long after a publication is a waiting reader awake, and how much of that is the kernel's?
//!
//! One to four readers wait in `newer_than` (`Vas`), as many threads in a bare `FUTEX_WAIT` on a word in
//! shared memory (`Futex`). In turns, a frame is published or the word is changed and woken. Time counts from
//! before the publication or the change, until the waiter has its frame or sees the word changed. A turn
//! begins when the kernel says that all of them sleep.
//!
//!     cargo bench -p vas-bench --bench wake [-- FILTER]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use criterion::Criterion;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::thread::{Pid, futex};
use vas_bench::{Distribution, Rig, asleep, measure, thread_id};
use vas_frame::{Reader, monotonic_ns};

const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Vas,
    Futex,
}

/// Threads that are woken together, and what they have to say of it.
struct Waiters {
    threads: Vec<Pid>,
    /// When each was awake.
    awake_ns: Arc<[AtomicU64]>,
    awake: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Waiters {
    /// Starts threads that call `wait` again and again, each with a state of its own.
    fn start<S: Send + 'static>(
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
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                tell.send(thread_id()).expect("the starter listens");
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
            told.recv().expect("the thread tells its id first")
        });
        Self { threads: ids.collect(), awake_ns, awake, stop }
    }

    /// Wakes them with `ring` and returns what it took, and how long after its beginning each was awake.
    fn wake(&self, ring: impl FnOnce()) -> (Duration, Vec<Duration>) {
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
}

/// A word that waiters in any process could wait on.
fn shared_word() -> &'static AtomicU32 {
    let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: a new mapping, which is never unmapped.
    let word = unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, access, flags) };
    // SAFETY: a page of zeros that lives for ever.
    unsafe { &*word.expect("a page").cast::<AtomicU32>() }
}

fn wait_for_change(word: &AtomicU32, seen: &mut u32) {
    while word.load(Ordering::Acquire) == *seen {
        // Woken, changed meanwhile, interrupted: the loop looks.
        let _ = futex::wait(word, futex::Flags::empty(), *seen, None);
    }
    *seen = word.load(Ordering::Acquire);
}

fn ring_word(word: &AtomicU32, waiters: usize) {
    word.fetch_add(1, Ordering::Release);
    let _ = futex::wake(word, futex::Flags::empty(), waiters as u32);
}

fn wait_for_frame((reader, last): &mut (Reader, u64)) {
    let frame = reader.newer_than(*last, LONG).expect("frames come");
    *last = frame.meta().frame_id;
}

/// What is told beside the time at which the last one is awake.
#[derive(Default)]
struct Told {
    each: Distribution,
    ring: Distribution,
}

fn bench(criterion: &mut Criterion, count: usize) {
    let mut rig = Rig::new(Rig::geometry(64, 64));
    let word = shared_word();
    let readers = Waiters::start(count, || (rig.reader(), 0), wait_for_frame);
    let bare = Waiters::start(count, || 0, move |seen| wait_for_change(word, seen));
    let (mut vas, mut futex) = (Told::default(), Told::default());
    let title = format!("{count} waiting, until the last is awake");
    measure(criterion, &title, &[Way::Vas, Way::Futex], &[Way::Futex], |way| {
        let slot = rig.claim();
        let stamp = rig.stamp();
        let (told, (ring, awake)) = match way {
            Way::Vas => (&mut vas, readers.wake(|| _ = slot.publish(&stamp))),
            Way::Futex => (&mut futex, bare.wake(|| ring_word(word, count))),
        };
        told.ring.add(ring);
        let last = awake.iter().copied().max().unwrap_or_default();
        awake.into_iter().for_each(|time| told.each.add(time));
        last
    });
    report(&format!("{count} waiting, until each is awake"), &vas.each, &futex.each);
    report(&format!("{count} waiting, what waking costs the publisher"), &vas.ring, &futex.ring);

    for waiters in [&readers, &bare] {
        waiters.stop.store(true, Ordering::Relaxed);
    }
    let stamp = rig.stamp();
    rig.claim().publish(&stamp);
    ring_word(word, count);
}

fn report(title: &str, vas: &Distribution, futex: &Distribution) {
    println!("\n{title}");
    println!("  {:<22}{}", "way", Distribution::COLUMNS);
    println!("  {:<22}{vas}\n  {:<22}{futex}", "Vas", "Futex");
    for percent in [50, 99] {
        let [ours, bare] = [vas, futex].map(|times| times.percentile(percent).as_secs_f64());
        println!("  p{percent} ratio {:.2}", ours / bare);
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    for count in 1..=4 {
        bench(&mut criterion, count);
    }
    criterion.final_summary();
}
