//! How long simulated work takes.

use std::time::Duration;

use super::config::config;

/// A delay of about `us`.
pub(crate) fn jittered(us: u64) -> Duration {
    vas_sim_common::jittered(us, config().jitter_percent(), config().seed)
}

/// How long `bytes` take over the link.
pub(crate) fn of_copy(bytes: usize) -> Duration {
    let us_per_mib = config().copy_us_per_mib();
    jittered((bytes as u64).saturating_mul(us_per_mib) >> 20)
}
