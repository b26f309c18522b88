//! Question: what do many waiting readers cost the publishing thread and the notifier?
//!
//! 1, 10, 100 and 1,000 readers wait in `newer`, each in its own thread. A turn starts when the kernel
//! reports that all of them sleep; then one frame is published. `publish cpu` is the processor time of the
//! call: the cost of publishing. `until back` is the time until it returns, which includes the time of woken
//! readers that took the publisher's processor: with two processors a thousand awake threads leave it a
//! thousandth, whatever woke them. `notifier` is the processor time of the notifier's thread per turn,
//! `reader` the time from before the publication until a reader has the frame.
//!
//! A frame is published every 33 ms, and so do 0, 3 or 15 other cameras with one reader each. `loop` publishes as
//! fast as possible, with one camera.
//!
//!     cargo bench -p vas-bench --bench crowd [-- loop]

#![forbid(unsafe_code)]

use std::time::Duration;

use vas_bench::{
    CAMERAS, Distribution, Options, Pace, Rig, Waiters, Woken, cpu_time_of, own_cpu_time,
    wait_for_frame,
};

/// Readers, and publications at a camera's pace and in a loop.
const CROWDS: [(usize, usize, usize); 4] =
    [(1, 150, 2000), (10, 150, 2000), (100, 100, 500), (1000, 100, 100)];

fn main() {
    let looped = Options::of_this_process().looped;
    println!(
        "                         publish cpu us      until back us  notifier cpu          reader us"
    );
    println!(
        "cameras readers   turns     p50     p99       p50      p99       us/turn       p50      p99"
    );
    for cameras in CAMERAS {
        for (readers, paced, in_a_loop) in CROWDS {
            if !looped {
                run(cameras, readers, paced, true);
            } else if cameras == 1 {
                run(1, readers, in_a_loop, false);
            }
        }
    }
}

/// A camera with its readers.
struct Camera {
    rig: Rig,
    readers: Waiters,
}

impl Camera {
    fn new(readers: usize) -> Self {
        let rig = Rig::new(Rig::geometry(64, 64));
        let readers = Waiters::start(readers, || rig.reader(), wait_for_frame);
        readers.settle();
        Self { rig, readers }
    }

    /// Publishes; adds the processor time of that.
    fn publish(&mut self, cost: &mut Distribution) -> Woken {
        let slot = self.rig.claim();
        let meta = self.rig.meta();
        let woken = self.readers.wake(|| {
            let before = own_cpu_time();
            slot.publish(&meta);
            cost.add(own_cpu_time() - before);
        });
        // Not just before the next one: looking at the threads warms what the kernel knows of them.
        self.readers.settle();
        woken
    }

    fn end(mut self) {
        self.readers.stop();
        let meta = self.rig.meta();
        self.rig.claim().publish(&meta);
    }
}

fn run(cameras: usize, readers: usize, turns: usize, paced: bool) {
    // The crowd's, then the others.
    let mut all: Vec<Camera> =
        (0..cameras).map(|index| Camera::new(if index == 0 { readers } else { 1 })).collect();
    let mut pace = Pace::new(cameras);
    let (mut publish, mut others) = (Distribution::default(), Distribution::default());
    let (mut back, mut readers_awake) = (Distribution::default(), Distribution::default());
    let before = cpu_time_of("vas-notifier");
    for _ in 0..turns {
        for (index, camera) in all.iter_mut().enumerate() {
            if paced {
                pace.next_camera();
            }
            if index > 0 {
                camera.publish(&mut others);
                continue;
            }
            let woken = camera.publish(&mut publish);
            back.add(woken.took);
            woken.waiters.iter().for_each(|waiter| readers_awake.add(waiter.after));
        }
    }
    // Only a crowd leaves the notifier something to do.
    let notifier = (cpu_time_of("vas-notifier") - before) / turns as u32;
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "{cameras:>7} {readers:>7} {turns:>7} {:>7.1} {:>7.1} {:>9.1} {:>8.1} {:>13.1} {:>9.1} {:>8.1}",
        us(publish.percentile(50)),
        us(publish.percentile(99)),
        us(back.percentile(50)),
        us(back.percentile(99)),
        us(notifier),
        us(readers_awake.percentile(50)),
        us(readers_awake.percentile(99)),
    );
    all.into_iter().for_each(Camera::end);
}
