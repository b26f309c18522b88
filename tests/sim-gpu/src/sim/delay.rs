//! How long simulated work takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::config::config;
use crate::picture::mix;

/// A delay of about `us`; the jitter depends on the seed and the number of calls before.
pub(crate) fn jittered(us: u64) -> Duration {
    static DRAWS: AtomicU64 = AtomicU64::new(0);
    if us == 0 {
        return Duration::ZERO;
    }
    let percent = config().jitter_percent();
    let draw = mix(config().seed ^ mix(DRAWS.fetch_add(1, Ordering::Relaxed))) % (2 * percent + 1);
    Duration::from_micros(us.saturating_mul(100 - percent + draw) / 100)
}

/// How long `bytes` take over the link.
pub(crate) fn of_copy(bytes: usize) -> Duration {
    let us_per_mib = config().copy_us_per_mib();
    jittered((bytes as u64).saturating_mul(us_per_mib) >> 20)
}
