//! How long simulated work takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::picture::mix;

/// A delay of `us`, give or take `percent` of it; it depends on the seed and the number of delays before.
pub fn jittered(us: u64, percent: u64, seed: u64) -> Duration {
    static DRAWS: AtomicU64 = AtomicU64::new(0);
    if us == 0 {
        return Duration::ZERO;
    }
    let percent = percent.min(100);
    let draw = mix(seed ^ mix(DRAWS.fetch_add(1, Ordering::Relaxed))) % (2 * percent + 1);
    Duration::from_micros(us.saturating_mul(100 - percent + draw) / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_bounds() {
        let delays: Vec<Duration> = (0..100).map(|_| jittered(1000, 20, 7)).collect();
        let bounds = Duration::from_micros(800)..=Duration::from_micros(1200);
        assert!(delays.iter().all(|delay| bounds.contains(delay)));
        assert!(delays.iter().any(|delay| *delay != delays[0]));
        assert_eq!(jittered(1000, 0, 7), Duration::from_millis(1));
    }
}
