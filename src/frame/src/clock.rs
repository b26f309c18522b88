//! The clocks of the frame path.

/// `CLOCK_MONOTONIC` in nanoseconds: all times in `frame.meta` are on this clock, except the camera's
/// own.
#[must_use]
pub fn monotonic_ns() -> u64 {
    now(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_BOOTTIME` in nanoseconds: rises across all processes of one boot, and so do the ids that
/// a new writer derives from it. `/dev/shm` does not outlive the boot either.
pub(crate) fn boottime_ns() -> u64 {
    now(libc::CLOCK_BOOTTIME)
}

fn now(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // The C library's call: rustix's own faults under valgrind, which hides the vDSO. SAFETY: `t`
    // is valid for writes, and every Linux has both clocks.
    unsafe { libc::clock_gettime(clock, &mut t) };
    // Neither clock is ever negative, and 2^64 ns is 584 years.
    (t.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn clocks_do_not_go_back() {
        let (m, b) = (super::monotonic_ns(), super::boottime_ns());
        assert!(super::monotonic_ns() >= m);
        assert!(super::boottime_ns() >= b);
    }
}
