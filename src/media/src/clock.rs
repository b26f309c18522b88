//! The one clock of this crate: CLOCK_MONOTONIC in nanoseconds.

/// Nanoseconds of CLOCK_MONOTONIC, the clock of every `arrival_ns` in this crate.
///
/// It is the clock of `std::time::Instant` on Linux, as a number that other processes can compare.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // The C library's call, because rustix's own one faults under valgrind, whose counts the
    // service is checked with (valgrind hides the vDSO that rustix looks for).
    // SAFETY: `now` is a valid place for the answer. The call cannot fail: every Linux has this
    // clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    // The kernel counts from boot, so both parts are positive and the sum lasts 584 years.
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_go_back() {
        let first = monotonic_ns();
        assert!(monotonic_ns() >= first);
    }
}
