//! How long to wait before a retry. Pure: time is an argument.

#![forbid(unsafe_code)]

use std::time::Duration;

/// Waits that double up to a ceiling, with or without jitter.
///
/// Jitter keeps things that fail together, such as all cameras behind one switch, from retrying
/// together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
    /// Gives the jitter; `None` for waits without.
    random: Option<fastrand::Rng>,
}

impl Backoff {
    /// Waits from `first` to `longest`, exactly.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0, random: None }
    }

    /// For cameras and the system: from half a second to ten, each wait between half of that and
    /// the whole. Give things that may fail together different seeds.
    pub const fn jittered(seed: u64) -> Self {
        let mut backoff = Self::new(Duration::from_millis(500), Duration::from_secs(10));
        backoff.random = Some(fastrand::Rng::with_seed(seed));
        backoff
    }

    /// Records a failure and returns how long to wait before the next try.
    pub fn failed(&mut self) -> Duration {
        let most = self.first.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let Some(random) = &mut self.random else { return most };
        most / 2 + (most / 2).mul_f64(random.f64_inclusive())
    }

    /// Records a success: the next failure counts as the first.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The longest wait.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}

/// Until when something that failed is left alone: twice as long with each further failure. No clock: times are
/// arguments, `CLOCK_MONOTONIC` nanoseconds.
#[derive(Debug)]
pub struct Cooldown {
    backoff: Backoff,
    until_ns: u64,
}

impl Default for Cooldown {
    /// For a GPU: from five seconds to five minutes.
    fn default() -> Self {
        Self::new(Duration::from_secs(5), Duration::from_secs(300))
    }
}

impl Cooldown {
    /// Waits from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { backoff: Backoff::new(first, longest), until_ns: 0 }
    }

    /// Records a failure and returns the new wait in nanoseconds.
    pub fn failed(&mut self, now_ns: u64) -> u64 {
        let wait_ns = u64::try_from(self.backoff.failed().as_nanos()).unwrap_or(u64::MAX);
        self.until_ns = now_ns.saturating_add(wait_ns);
        wait_ns
    }

    /// Records a success: the next failure counts as the first.
    pub fn reset(&mut self) {
        self.backoff.reset();
        self.until_ns = 0;
    }

    /// Whether it may be tried again.
    pub fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.until_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_a_ceiling_with_jitter_and_begins_again_after_a_reset() {
        let mut backoff = Backoff::jittered(7);
        for most_ms in [500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            let most = Duration::from_millis(most_ms);
            let wait = backoff.failed();
            assert!(wait <= most && wait >= most / 2, "{wait:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.failed() <= Duration::from_millis(500));
        for _ in 0..100 {
            assert!(backoff.failed() <= backoff.longest());
        }
    }

    #[test]
    fn cameras_that_fail_together_come_back_apart() {
        let waits = |seed| {
            let mut backoff = Backoff::jittered(seed);
            [(); 4].map(|()| backoff.failed())
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }

    #[test]
    fn a_cooldown_doubles_to_a_ceiling_and_begins_again() {
        const LONGEST_NS: u64 = 300_000_000_000;
        let mut cooldown = Cooldown::default();
        assert!(cooldown.is_over(0));
        let waits: Vec<_> = (0..8).map(|_| cooldown.failed(1000) / 1_000_000_000).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert!(!cooldown.is_over(1000 + LONGEST_NS - 1));
        assert!(cooldown.is_over(1000 + LONGEST_NS));
        cooldown.reset();
        assert!(cooldown.is_over(0));
        assert_eq!(cooldown.failed(0), 5_000_000_000);
    }
}
