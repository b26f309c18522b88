//! A set of samples and its percentiles.

use std::fmt;
use std::time::Duration;

/// Samples of one quantity.
#[derive(Clone, Debug, Default)]
pub struct Distribution(Vec<Duration>);

impl Distribution {
    /// Adds a sample.
    pub fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The samples, in the order of measurement.
    #[must_use]
    pub fn samples(&self) -> &[Duration] {
        &self.0
    }

    /// The value below which `percent` of the samples lie; zero without samples.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get(last * percent / 100).copied().unwrap_or_default()
    }

    /// Titles of the columns that [`Display`](fmt::Display) prints.
    pub const COLUMNS: &str = "       n    p5 us   p25 us   p50 us   p75 us   p95 us   p99 us";
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8}", self.0.len())?;
        for percent in [5, 25, 50, 75, 95, 99] {
            write!(f, " {:>8.1}", self.percentile(percent).as_secs_f64() * 1e6)?;
        }
        Ok(())
    }
}
