//! The camera's clock, from its RTCP sender reports (RFC 3550, 6.4.1). Pure.

/// Seconds from the epoch of NTP, 1900, to that of Unix.
const UNIX_EPOCH: u64 = 2_208_988_800;

/// The same time on both of a camera's clocks.
#[derive(Clone, Copy, Debug)]
struct Report {
    wall_ns: i64,
    ticks: i64,
}

/// The wall clock of a stream, from its latest report.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CameraClock {
    newest: Option<Report>,
}

impl CameraClock {
    /// Takes a report: an NTP timestamp (32 bits of seconds, 32 of fraction) and the same time in the
    /// stream's ticks. Ignores times before 1970, since a camera without a clock reports 0.
    pub(super) fn report(&mut self, ntp: u64, ticks: i64) {
        let seconds = ntp >> 32;
        if seconds < UNIX_EPOCH {
            return;
        }
        let fraction_ns = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
        let wall_ns = (seconds - UNIX_EPOCH) * 1_000_000_000 + fraction_ns;
        let wall_ns = i64::try_from(wall_ns).unwrap_or(i64::MAX);
        self.newest = Some(Report { wall_ns, ticks });
    }

    /// Converts ticks to wall-clock time in nanoseconds of Unix time.
    pub(super) fn at(&self, ticks: i64, ticks_per_second: u32) -> Option<i64> {
        let report = self.newest?;
        let since = i128::from(ticks) - i128::from(report.ticks);
        let since_ns = since * 1_000_000_000 / i128::from(ticks_per_second.max(1));
        i64::try_from(i128::from(report.wall_ns) + since_ns).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_a_report_are_converted() {
        let mut clock = CameraClock::default();
        assert_eq!(clock.at(0, 90_000), None);
        clock.report((UNIX_EPOCH + 100) << 32 | 0x8000_0000, 9_000);
        assert_eq!(clock.at(9_000, 90_000), Some(100_500_000_000));
        assert_eq!(clock.at(0, 90_000), Some(100_400_000_000));
        assert_eq!(clock.at(99_000, 90_000), Some(101_500_000_000));
        clock.report((UNIX_EPOCH + 200) << 32, 99_000);
        assert_eq!(clock.at(99_000, 90_000), Some(200_000_000_000));
    }

    #[test]
    fn reports_of_cameras_without_a_clock_are_ignored() {
        let mut clock = CameraClock::default();
        clock.report(0, 0);
        clock.report(7 << 32, 0);
        assert_eq!(clock.at(0, 90_000), None);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut clock = CameraClock::default();
        clock.report(u64::MAX, i64::MIN);
        assert_eq!(clock.at(i64::MAX, 1), None);
    }
}
