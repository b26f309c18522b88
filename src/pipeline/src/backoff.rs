//! How long to wait before what failed is tried again: a camera, or a part of the frame path.

use std::time::Duration;

/// Doubling waits with a ceiling and jitter, from the start again after a stream that lasted.
///
/// Jitter spreads what failed together, such as all cameras behind one switch, so that it does not come
/// back together.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(10);

    /// Cameras are to have different seeds.
    pub fn seeded(seed: u64) -> Self {
        Self { failures: 0, random: seed }
    }

    /// Notes that a try failed whose packets came for `streamed`, and says how long to wait: between half of
    /// the doubled time and the whole of it.
    pub fn failed(&mut self, streamed: Duration) -> Duration {
        // A camera that ends each stream at once is not made to begin many.
        if streamed >= Self::LONGEST {
            self.failures = 0;
        }
        let most = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        let part = (self.next_random() >> 32) as u32;
        most / 2 + (most / 2).mul_f64(f64::from(part) / f64::from(u32::MAX))
    }

    /// It works: the next failure counts as the first.
    pub fn begin_again(&mut self) {
        self.failures = 0;
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_ceiling_and_begins_again_after_a_stream_that_lasted() {
        let mut backoff = Backoff::seeded(7);
        for most_ms in [500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            let most = Duration::from_millis(most_ms);
            let wait = backoff.failed(Duration::from_secs(1));
            assert!(wait <= most && wait >= most / 2, "{wait:?} of {most:?}");
        }
        assert!(backoff.failed(Duration::from_secs(60)) <= Backoff::FIRST);
        for _ in 0..100 {
            assert!(backoff.failed(Duration::ZERO) <= Backoff::LONGEST);
        }
    }

    #[test]
    fn cameras_that_fail_together_come_back_apart() {
        let waits = |seed| {
            let mut backoff = Backoff::seeded(seed);
            [(); 4].map(|()| backoff.failed(Duration::ZERO))
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }
}
