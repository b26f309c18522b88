//! How old frames are when they are published: a histogram of fixed size without a lock.
//!
//! Log-linear: each doubling from 1 ms to 65,536 ms has 16 buckets of equal width, and so has the
//! first millisecond. A reported age exceeds the true one by at most 6.25 %, or 62.5 us where that
//! is more.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use histogram::{AtomicHistogram, Config, Histogram};

/// Width of the finest buckets. The histogram counts in these.
const UNIT_NS: u64 = 62_500;
/// Buckets of a doubling, as a power of two.
const LINEAR_BITS: u8 = 4;
const LINEAR: usize = 1 << LINEAR_BITS;
/// Doublings above 1 ms.
const DOUBLINGS: usize = 16;
/// Units up to 65,536 ms. All that is older is counted as this, in the first bucket of one more doubling.
const OLDER: u64 = (LINEAR as u64) << DOUBLINGS;

const CONFIG: Config = match Config::new(LINEAR_BITS, LINEAR_BITS + DOUBLINGS as u8 + 1) {
    Ok(config) => config,
    Err(_) => panic!("the powers make no histogram"),
};

/// A histogram of frame ages, since the camera was added.
pub struct Ages {
    buckets: AtomicHistogram,
    sum_ns: AtomicU64,
}

impl Ages {
    /// Records one age. Costs the publishing thread two additions.
    pub fn record(&self, age_ns: u64) {
        // Buckets include their upper bound and not their lower one, as Prometheus has it.
        let units = age_ns.saturating_sub(1) / UNIT_NS;
        let counted = self.buckets.increment(units.min(OLDER));
        debug_assert_eq!(counted, Ok(()), "each number up to `OLDER` has a bucket");
        self.sum_ns.fetch_add(age_ns, Ordering::Relaxed);
    }

    /// What was recorded until now. An age recorded meanwhile may be included or not.
    pub fn counts(&self) -> AgeCounts {
        AgeCounts(self.buckets.load())
    }

    /// The sum of all ages in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.load(Ordering::Relaxed)
    }
}

impl Default for Ages {
    fn default() -> Self {
        Self { buckets: AtomicHistogram::with_config(&CONFIG), sum_ns: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Ages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ages").field("count", &self.counts().total()).finish_non_exhaustive()
    }
}

/// How many frames had which age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeCounts(Histogram);

impl AgeCounts {
    /// The upper bounds of [`cumulative`](Self::cumulative) except the last, in milliseconds.
    pub fn bounds_ms() -> impl Iterator<Item = u64> {
        (0..=DOUBLINGS).map(|doubling| 1 << doubling)
    }

    /// Frames no older than 1, 2, 4, ... 65,536 ms, and all.
    pub fn cumulative(&self) -> Vec<u64> {
        // The last chunk holds those that are older.
        let chunks = self.0.as_slice().chunks(LINEAR).map(|chunk| chunk.iter().sum::<u64>());
        let running = |sum: &mut u64, count| {
            *sum += count;
            Some(*sum)
        };
        chunks.scan(0, running).collect()
    }

    /// The number of frames.
    pub fn total(&self) -> u64 {
        self.0.as_slice().iter().sum()
    }

    /// The frames recorded after `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        for (count, then) in since.0.as_mut_slice().iter_mut().zip(earlier.0.as_slice()) {
            *count = count.saturating_sub(*then);
        }
        since
    }

    /// The age in milliseconds that `per_mille` of 1,000 frames did not exceed, rounded up to the end of its
    /// bucket; 65,536 for all that is older. `None` without frames.
    pub fn quantile_ms(&self, per_mille: u16) -> Option<f64> {
        let bucket = self.0.quantile_bucket(f64::from(per_mille) / 1000.0).ok()??;
        let bound_units = (bucket.end() + 1).min(OLDER);
        Some((bound_units * UNIT_NS) as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// The index of the bucket that `age_ns` falls into.
    fn bucket_of(age_ns: u64) -> usize {
        let ages = Ages::default();
        ages.record(age_ns);
        ages.counts().0.as_slice().iter().position(|count| *count == 1).unwrap()
    }

    #[test]
    fn every_age_lies_under_the_bound_of_its_bucket_and_above_the_one_before() {
        let older = LINEAR * (1 + DOUBLINGS);
        let mut last = 0;
        for (index, bucket) in Ages::default().counts().0.iter().take(older).enumerate() {
            let bound_ns = (bucket.end() + 1) * UNIT_NS;
            assert!(bound_ns > last, "{index}");
            assert_eq!((bucket_of(last + 1), bucket_of(bound_ns)), (index, index));
            let width = bound_ns - last;
            assert!(width <= UNIT_NS.max(bound_ns / LINEAR as u64), "{index}: {width}");
            last = bound_ns;
        }
        assert_eq!(last, 65_536 * MS);
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(last + 1), older);
        assert_eq!(bucket_of(u64::MAX), older);
    }

    #[test]
    fn quantiles_are_never_too_low() {
        let ages = Ages::default();
        assert_eq!(ages.counts().quantile_ms(500), None);
        (1..=100).for_each(|ms| ages.record(ms * MS));
        let counts = ages.counts();
        let (p50, p99) = (counts.quantile_ms(500).unwrap(), counts.quantile_ms(990).unwrap());
        assert!((50.0..=50.0 * 1.0625).contains(&p50), "{p50}");
        assert!((99.0..=99.0 * 1.0625).contains(&p99), "{p99}");
        assert_eq!(ages.sum_ns(), 5050 * MS);
        ages.record(u64::MAX / 2);
        assert_eq!(ages.counts().quantile_ms(1000), Some(65_536.0));
    }

    #[test]
    fn cumulative_counts_lie_at_the_doublings() {
        let ages = Ages::default();
        for age_ns in [MS, MS + 1, 2 * MS, 65_536 * MS, 65_536 * MS + 1] {
            ages.record(age_ns);
        }
        let cumulative = ages.counts().cumulative();
        assert_eq!(cumulative.len(), AgeCounts::bounds_ms().count() + 1);
        assert_eq!((cumulative[0], cumulative[1], cumulative[15]), (1, 3, 3));
        assert_eq!((cumulative[16], cumulative[17]), (4, 5));
        assert_eq!(AgeCounts::bounds_ms().last(), Some(65_536));
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let ages = Ages::default();
        ages.record(MS);
        let before = ages.counts();
        ages.record(40 * MS);
        let since = ages.counts().since(&before);
        assert_eq!((since.total(), since.quantile_ms(500)), (1, Some(40.0)));
    }

    #[test]
    fn taking_an_age_down_allocates_nothing() {
        let ages = Ages::default();
        let record = || (0..1000).for_each(|ms| ages.record(ms * MS));
        assert_eq!(vas_malloc_count::count(record), ((), 0));
    }
}
