//! Question: how long after a publication is a waiting reader awake, and how much of that time is the
//! kernel's?
//!
//! One to four readers wait in `newer` (`Vas`), as many threads in a bare `FUTEX_WAIT` on a word in shared
//! memory (`Futex`). In turns, a frame is published, or the word is changed and its waiters are woken. Time
//! counts from before the publication or the change until the waiter has its frame or sees the word changed.
//! A turn starts when the kernel reports that all of them sleep.
//!
//!     cargo bench -p vas-bench --bench wake [-- FILTER]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use criterion::Criterion;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::thread::futex;
use vas_bench::{Distribution, Rig, Waiters, measure, wait_for_frame};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Vas,
    Futex,
}

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

fn ring_word(word: &AtomicU32, waiters: usize) {
    word.fetch_add(1, Ordering::Release);
    let _ = futex::wake(word, futex::Flags::empty(), waiters as u32);
}

/// Results in addition to the time until the last waiter is awake.
#[derive(Default)]
struct Results {
    each: Distribution,
    ring: Distribution,
}

fn bench(criterion: &mut Criterion, count: usize) {
    let mut rig = Rig::new(Rig::geometry(64, 64));
    let word = shared_word();
    let readers = Waiters::start(count, || rig.reader(), wait_for_frame);
    let bare = Waiters::start(count, || 0, move |seen| wait_for_change(word, seen));
    let (mut vas, mut futex) = (Results::default(), Results::default());
    let title = format!("{count} waiting, until the last is awake");
    measure(criterion, &title, &[Way::Vas, Way::Futex], &[Way::Futex], |way| {
        let slot = rig.claim();
        let meta = rig.meta();
        let (results, (ring, awake)) = match way {
            Way::Vas => (&mut vas, readers.wake(|| _ = slot.publish(&meta))),
            Way::Futex => (&mut futex, bare.wake(|| ring_word(word, count))),
        };
        results.ring.add(ring);
        let last = awake.iter().copied().max().unwrap_or_default();
        awake.into_iter().for_each(|time| results.each.add(time));
        last
    });
    report(&format!("{count} waiting, until each is awake"), &vas.each, &futex.each);
    report(&format!("{count} waiting, what waking costs the publisher"), &vas.ring, &futex.ring);

    readers.stop();
    bare.stop();
    let meta = rig.meta();
    rig.claim().publish(&meta);
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
