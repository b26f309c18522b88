//! The clock of this crate: CLOCK_MONOTONIC in nanoseconds.

/// Nanoseconds of CLOCK_MONOTONIC, the clock of every `arrival_ns` in this crate.
///
/// `std::time::Instant` uses the same clock on Linux; this number can be compared between processes.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // The C library's call, because rustix's faults under valgrind, which the tests count instructions
    // with: valgrind hides the vDSO that rustix needs.
    // SAFETY: `now` is valid for the write. The call can't fail: every Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    // The kernel counts from boot, so both parts are positive and the sum lasts 584 years.
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        let first = monotonic_ns();
        assert!(monotonic_ns() >= first);
    }
}
