//! How old frames are when they are published: a histogram of fixed size without a lock.
//!
//! Log-linear: each doubling from 1 ms to 65,536 ms has 16 buckets of equal width, and so has the
//! first millisecond. A reported age exceeds the true one by at most 6.25 %, or 62.5 us where that
//! is more.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Width of the finest buckets.
const UNIT_NS: u64 = 62_500;
/// Buckets per doubling, as a power of two.
const LINEAR_BITS: u32 = 4;
const LINEAR: usize = 1 << LINEAR_BITS;
/// Doublings above 1 ms.
const DOUBLINGS: usize = 16;
/// The last bucket is for all older frames.
const BUCKETS: usize = LINEAR * (1 + DOUBLINGS) + 1;

/// A histogram of frame ages, since the camera was added.
pub struct Ages {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Ages {
    /// Records one age. Costs a publishing thread two additions.
    pub fn record(&self, age_ns: u64) {
        self.buckets[bucket_of(age_ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(age_ns, Ordering::Relaxed);
    }

    /// What was recorded until now. Ages recorded meanwhile may be included or not.
    pub fn counts(&self) -> AgeCounts {
        AgeCounts(self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect())
    }

    /// The sum of all ages in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.load(Ordering::Relaxed)
    }
}

impl Default for Ages {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Ages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ages").field("count", &self.counts().total()).finish_non_exhaustive()
    }
}

/// How many frames had which age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeCounts(Vec<u64>);

impl AgeCounts {
    /// The upper bounds of [`cumulative`](Self::cumulative) except the last, in milliseconds.
    pub fn bounds_ms() -> impl Iterator<Item = u64> {
        (0..=DOUBLINGS).map(|doubling| 1 << doubling)
    }

    /// Frames no older than 1, 2, 4, ... 65,536 ms, and all.
    pub fn cumulative(&self) -> Vec<u64> {
        // The last chunk is the single bucket for all older frames.
        let chunks = self.0.chunks(LINEAR).map(|chunk| chunk.iter().sum::<u64>());
        let running = |sum: &mut u64, count| {
            *sum += count;
            Some(*sum)
        };
        chunks.scan(0, running).collect()
    }

    /// The number of frames.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The frames recorded after `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self(self.0.iter().zip(&earlier.0).map(|(now, then)| now.saturating_sub(*then)).collect())
    }

    /// The age in milliseconds that `per_mille` of 1,000 frames did not exceed, rounded up to the
    /// end of its bucket; 65,536 for all that is older. `None` without frames.
    pub fn quantile_ms(&self, per_mille: u64) -> Option<f64> {
        let rank = (self.total() * per_mille).div_ceil(1000).max(1);
        let mut sum = 0;
        let bucket = self.0.iter().position(|count| {
            sum += count;
            sum >= rank
        })?;
        Some(upper_bound_ns(bucket) as f64 / 1e6)
    }
}

/// Buckets include their upper bound and exclude their lower one, as in Prometheus.
fn bucket_of(age_ns: u64) -> usize {
    let units = age_ns.saturating_sub(1) / UNIT_NS;
    // 0 for the first millisecond, 1 for the second, then one for each doubling.
    let doubling = (u64::BITS - units.leading_zeros()).saturating_sub(LINEAR_BITS);
    let within = (units >> doubling.saturating_sub(1)) as usize;
    if doubling == 0 {
        return within;
    }
    (doubling as usize * LINEAR + within - LINEAR).min(BUCKETS - 1)
}

fn upper_bound_ns(bucket: usize) -> u64 {
    let (doubling, within) = (bucket / LINEAR, (bucket % LINEAR) as u64);
    if bucket == BUCKETS - 1 {
        return (UNIT_NS * LINEAR as u64) << DOUBLINGS;
    }
    if doubling == 0 {
        return (within + 1) * UNIT_NS;
    }
    ((within + 1 + LINEAR as u64) * UNIT_NS) << (doubling - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn every_age_lies_under_the_bound_of_its_bucket_and_above_the_one_before() {
        let mut last = 0;
        for bucket in 0..BUCKETS - 1 {
            let bound_ns = upper_bound_ns(bucket);
            assert!(bound_ns > last, "{bucket}");
            assert_eq!((bucket_of(last + 1), bucket_of(bound_ns)), (bucket, bucket));
            let width = bound_ns - last;
            assert!(width <= UNIT_NS.max(bound_ns / LINEAR as u64), "{bucket}: {width}");
            last = bound_ns;
        }
        assert_eq!(last, 65_536 * MS);
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(last + 1), BUCKETS - 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
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
