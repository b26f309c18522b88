//! Wake-up times, split by the processor that the kernel picked.

use std::fmt;

use crate::{Distribution, Woken};

/// When waiters were awake: all, those on their waker's processor, and those on another one.
///
/// The times have two peaks. A waiter on its waker's processor runs when the waker lets go of it; one on another
/// processor runs at once, or as soon as that one is out of its idle state.
#[derive(Debug, Default)]
pub struct Peaks {
    /// All.
    pub all: Distribution,
    same: Distribution,
    other: Distribution,
}

impl Peaks {
    /// Adds what a wake-up found.
    pub fn add(&mut self, woken: &Woken) {
        for waiter in &woken.waiters {
            self.all.add(waiter.after);
            let peak = if waiter.same_cpu { &mut self.same } else { &mut self.other };
            peak.add(waiter.after);
        }
    }

    /// Titles of the columns that [`Display`](fmt::Display) prints.
    pub const COLUMNS: &str = "      n    p50 us    p99 us   same cpu   p50 us  other cpu   p50 us";
}

impl fmt::Display for Peaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |times: &Distribution, percent| times.percentile(percent).as_secs_f64() * 1e6;
        let count = self.all.samples().len();
        write!(f, "{count:>7} {:>9.1} {:>9.1}", us(&self.all, 50), us(&self.all, 99))?;
        for peak in [&self.same, &self.other] {
            let share = 100 * peak.samples().len() / count.max(1);
            write!(f, " {:>9}% {:>8.1}", share, us(peak, 50))?;
        }
        Ok(())
    }
}
