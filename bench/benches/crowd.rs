//! Question: what do many waiting readers cost the publishing thread and the notifier?
//!
//! 1, 10, 100 and 1,000 readers wait in `newer`, each in its own thread. A turn starts when the kernel
//! reports that all of them sleep; then one frame is published. `publish cpu` is the processor time of the
//! call: the cost of publishing. `until back` is the time until it returns, which includes the time of woken
//! readers that took the publisher's processor: with two processors a thousand awake threads leave it a
//! thousandth, whatever woke them. `notifier` is the processor time of the notifier's thread per turn,
//! `reader` the time from before the publication until a reader has the frame.
//!
//!     cargo bench -p vas-bench --bench crowd

#![forbid(unsafe_code)]

use std::time::Duration;

use vas_bench::{Distribution, Rig, Waiters, cpu_time_of, own_cpu_time, wait_for_frame};

const CROWDS: [(usize, usize); 4] = [(1, 2000), (10, 2000), (100, 500), (1000, 100)];

fn main() {
    println!("                 publish cpu us      until back us  notifier cpu          reader us");
    println!("readers   turns     p50     p99       p50      p99       us/turn       p50      p99");
    for (readers, turns) in CROWDS {
        run(readers, turns);
    }
}

fn run(count: usize, turns: usize) {
    let mut rig = Rig::new(Rig::geometry(64, 64));
    let readers = Waiters::start(count, || rig.reader(), wait_for_frame);
    let mut publish = Distribution::default();
    let (mut back, mut awake) = (Distribution::default(), Distribution::default());
    let before = cpu_time_of("vas-notifier");
    for _ in 0..turns {
        let slot = rig.claim();
        let meta = rig.meta();
        let (took, times) = readers.wake(|| {
            let before = own_cpu_time();
            slot.publish(&meta);
            publish.add(own_cpu_time() - before);
        });
        back.add(took);
        times.into_iter().for_each(|time| awake.add(time));
    }
    let notifier = (cpu_time_of("vas-notifier") - before) / turns as u32;
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "{count:>7} {turns:>7} {:>7.1} {:>7.1} {:>9.1} {:>8.1} {:>13.1} {:>9.1} {:>8.1}",
        us(publish.percentile(50)),
        us(publish.percentile(99)),
        us(back.percentile(50)),
        us(back.percentile(99)),
        us(notifier),
        us(awake.percentile(50)),
        us(awake.percentile(99)),
    );
    readers.stop();
    let meta = rig.meta();
    rig.claim().publish(&meta);
}
