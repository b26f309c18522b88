//! The ages of the last minute, computed from counts that only rise.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ages::{AgeCounts, Ages};
use crate::export_report::AgeReport;

/// The length of the window.
const SPAN: Duration = Duration::from_secs(60);
/// How often counts are saved: the window's real length is 45 to 60 s.
const STEP: Duration = Duration::from_secs(15);

/// Earlier counts, the oldest first.
#[derive(Debug, Default)]
pub struct AgeWindow(VecDeque<(Instant, AgeCounts)>);

impl AgeWindow {
    /// The report on `ages` at `now`. Reports that would be equal may be left out.
    pub fn report(&mut self, ages: &Ages, now: Instant) -> AgeReport {
        let counts = ages.counts();
        let recent = self.recent(&counts, now);
        AgeReport {
            p50_ms: recent.quantile_ms(500),
            p99_ms: recent.quantile_ms(990),
            sum_s: ages.sum_ns() as f64 / 1e9,
            buckets: counts.cumulative(),
        }
    }

    fn recent(&mut self, counts: &AgeCounts, now: Instant) -> AgeCounts {
        let mut last = None;
        while self.0.front().is_some_and(|(at, _)| now - *at > SPAN) {
            last = self.0.pop_front();
        }
        // Where reports were left out, nothing was recorded since the last counts that were saved.
        let recent = match self.0.front().or(last.as_ref()) {
            Some((_, before)) => counts.since(before),
            None => counts.clone(),
        };
        if self.0.back().is_none_or(|(at, _)| now - *at >= STEP) {
            self.0.push_back((now, counts.clone()));
        }
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let (ages, mut window) = (Ages::default(), AgeWindow::default());
        let start = Instant::now();
        let mut p50 = |age_ms: u64, second: u64| {
            if age_ms > 0 {
                ages.record(age_ms * 1_000_000);
            }
            window.report(&ages, start + Duration::from_secs(second)).p50_ms
        };
        assert_eq!(p50(0, 0), None);
        assert_eq!(p50(512, 1), Some(512.0));
        assert_eq!(p50(0, 59), Some(512.0));
        assert_eq!(p50(32, 62), Some(32.0), "alone");
        for second in 63..200 {
            p50(0, second);
        }
        assert_eq!(p50(0, 200), None, "nothing was published for long");
        assert!(window.0.len() <= 5, "{}", window.0.len());
        ages.record(8_000_000);
        let late = window.report(&ages, start + SPAN * 30).p50_ms;
        assert_eq!(late, Some(8.0), "without a report for long");
        assert_eq!(window.report(&ages, start + SPAN * 32).buckets.last(), Some(&3));
    }
}
