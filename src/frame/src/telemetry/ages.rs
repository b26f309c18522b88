//! The buckets of the age histogram. Log-linear: each doubling from 1 ms to 65,536 ms has 16 buckets of equal width,
//! and so has the first millisecond. These are the buckets of `export.age` in `status.json`.

/// Width of the finest buckets.
const UNIT_NS: u64 = 62_500;
/// Buckets of a doubling, as a power of two.
const LINEAR_BITS: u32 = 4;
const LINEAR: u64 = 1 << LINEAR_BITS;
/// Doublings above 1 ms.
const DOUBLINGS: u64 = 16;
/// Units up to 65,536 ms. All that is older is counted in the last bucket.
const OLDER: u64 = LINEAR << DOUBLINGS;

/// The number of buckets.
pub(super) const BUCKETS: usize = (LINEAR * (DOUBLINGS + 1) + 1) as usize;

/// The index of the bucket of an age, below [`BUCKETS`].
///
/// Buckets include their upper bound and not their lower one.
#[inline]
pub(super) fn bucket_of(age_ns: u64) -> usize {
    let units = (age_ns.saturating_sub(1) / UNIT_NS).min(OLDER);
    let shift = (units | LINEAR).ilog2() - LINEAR_BITS;
    (u64::from(shift) * LINEAR + (units >> shift)) as usize
}

/// The upper bound of a bucket; 65,536 ms for the last one, whose ages may be higher.
fn bound_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / LINEAR).saturating_sub(1);
    let units = ((bucket - shift * LINEAR) + 1) << shift;
    units.min(OLDER) * UNIT_NS
}

/// The age in milliseconds that `per_mille` of 1,000 frames did not exceed, rounded up to the end of its bucket. `None`
/// without frames.
pub(super) fn quantile_ms(counts: &[u64; BUCKETS], per_mille: u64) -> Option<f64> {
    let total = counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let rank = total.saturating_mul(per_mille).div_ceil(1000).max(1);
    let mut below = 0_u64;
    let bucket = counts.iter().position(|count| {
        below = below.saturating_add(*count);
        below >= rank
    });
    bucket.map(|bucket| bound_ns(bucket) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn every_age_lies_under_the_bound_of_its_bucket_and_above_the_one_before() {
        let mut last = 0;
        for bucket in 0..BUCKETS - 1 {
            let bound = bound_ns(bucket);
            assert!(bound > last, "{bucket}");
            assert_eq!((bucket_of(last + 1), bucket_of(bound)), (bucket, bucket));
            assert!(bound - last <= UNIT_NS.max(bound / LINEAR), "{bucket}");
            last = bound;
        }
        assert_eq!(last, 65_536 * MS);
        assert_eq!((bucket_of(0), bucket_of(last + 1)), (0, BUCKETS - 1));
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(bound_ns(BUCKETS - 1), last);
    }

    #[test]
    fn quantiles_are_never_too_low() {
        let mut counts = [0; BUCKETS];
        assert_eq!(quantile_ms(&counts, 500), None);
        (1..=100).for_each(|ms| counts[bucket_of(ms * MS)] += 1);
        let (p50, p99) = (quantile_ms(&counts, 500).unwrap(), quantile_ms(&counts, 990).unwrap());
        assert!((50.0..=50.0 * 1.0625).contains(&p50), "{p50}");
        assert!((99.0..=99.0 * 1.0625).contains(&p99), "{p99}");
        counts[BUCKETS - 1] = u64::MAX;
        assert_eq!(quantile_ms(&counts, 990), Some(65_536.0), "sums that overflow");
    }
}
