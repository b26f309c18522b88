//! Derives decoding times for streams that state only presentation times, as RTP does. Pure.
//!
//! Pictures arrive in decoding order. If at most `depth` pictures precede any picture in decoding order and follow it
//! in output order, the sorted presentation times, delayed by `depth` pictures, are valid decoding times: they increase,
//! and none is later than its picture's presentation time.

/// The most pictures by which H.264 and H.265 reorder.
const MAX_DEPTH: usize = 16;

/// Derives decoding times from presentation times.
#[derive(Clone, Debug)]
pub(super) struct DecodeTimes {
    depth: usize,
    /// Presentation times that were not returned as decoding times yet, ascending.
    waiting: Vec<i64>,
    last: Option<i64>,
}

impl DecodeTimes {
    /// For a stream whose parameter sets state this depth. The depth grows if the stream exceeds it.
    pub(super) fn new(depth: usize) -> Self {
        let depth = depth.min(MAX_DEPTH);
        Self { depth, waiting: Vec::with_capacity(MAX_DEPTH + 2), last: None }
    }

    /// The decoding time of the next picture, in the unit of `pts`. `None` for the first pictures of a reordered stream,
    /// and where the stream exceeds the known depth.
    pub(super) fn next(&mut self, pts: i64) -> Option<i64> {
        let at = self.waiting.partition_point(|waiting| *waiting <= pts);
        self.waiting.insert(at, pts);
        if self.waiting.len() <= self.depth {
            return None;
        }
        let oldest = self.waiting.remove(0);
        if self.last.is_none_or(|last| oldest > last) {
            self.last = Some(oldest);
            return Some(oldest);
        }
        // Two pictures with the same time, or a greater depth than stated.
        if self.depth < MAX_DEPTH && self.last.is_some_and(|last| oldest < last) {
            self.depth += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(depth: usize, pts: &[i64]) -> Vec<Option<i64>> {
        let mut times = DecodeTimes::new(depth);
        pts.iter().map(|pts| times.next(*pts)).collect()
    }

    #[test]
    fn without_reordering_both_times_are_the_same() {
        assert_eq!(times(0, &[0, 1, 2, 3]), [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn decoding_times_increase_and_precede_presentation() {
        let pts = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8];
        let found = times(1, &pts);
        assert_eq!(found[..5], [None, Some(0), Some(1), Some(2), Some(3)]);
        for depth in 1..4 {
            let found = times(depth, &pts);
            assert!(found[..depth].iter().all(Option::is_none));
            let stated: Vec<_> = found[depth..].iter().map(|dts| dts.unwrap()).collect();
            assert!(stated.windows(2).all(|pair| pair[0] < pair[1]), "{stated:?}");
            assert!(stated.iter().zip(&pts[depth..]).all(|(dts, pts)| dts <= pts), "{stated:?}");
        }
    }

    #[test]
    fn the_depth_grows_with_the_stream() {
        let pts = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11];
        let found = times(0, &pts);
        for (dts, pts) in found.iter().zip(pts) {
            assert!(dts.is_none_or(|dts| dts <= pts), "{found:?}");
        }
        let stated: Vec<_> = found.iter().flatten().collect();
        assert!(stated.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
        assert!(found[9..].iter().all(Option::is_some), "{found:?}");
    }

    #[test]
    fn decoding_times_never_step_back_after_a_jump() {
        let mut pts: Vec<i64> = (1000..1010).collect();
        pts.extend(0..40);
        let found = times(0, &pts);
        assert!(found[10..].iter().all(|dts| dts.is_none_or(|dts| dts > 1009)), "no step back");
    }
}
