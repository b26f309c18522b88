//! Decoding times for a stream that states presentation times only, as RTP does. Pure.
//!
//! Pictures come in decoding order. With at most `depth` pictures shown later than one that was decoded after
//! them, the sorted presentation times, `depth` pictures late, are decoding times: they rise, and none lies
//! behind its picture's presentation time.

/// H.264 and H.265 reorder by no more.
const MAX_DEPTH: usize = 16;

/// Derives decoding times from presentation times.
#[derive(Clone, Debug)]
pub(super) struct DecodeTimes {
    depth: usize,
    /// Presentation times that were not given out as decoding times yet, rising.
    waiting: Vec<i64>,
    last: Option<i64>,
}

impl DecodeTimes {
    /// For a stream whose parameter sets state this depth; one that proves deeper is followed.
    pub(super) fn new(depth: usize) -> Self {
        let depth = depth.min(MAX_DEPTH);
        Self { depth, waiting: Vec::with_capacity(MAX_DEPTH + 2), last: None }
    }

    /// The decoding time of the next picture, in the unit of `pts`; `None` for the first pictures of a
    /// reordered stream, and where the stream goes deeper than it was known to.
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
        // Two pictures of one time, or a depth beyond what was stated.
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
    fn in_order_they_are_the_same() {
        assert_eq!(times(0, &[0, 1, 2, 3]), [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn reordered_they_rise_and_never_lie_behind_presentation() {
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
    fn a_deeper_stream_is_followed() {
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
    fn a_jump_back_does_not_stop_them_for_good() {
        let mut pts: Vec<i64> = (1000..1010).collect();
        pts.extend(0..40);
        let found = times(0, &pts);
        assert!(
            found[10..].iter().all(|dts| dts.is_none_or(|dts| dts > 1009)),
            "they never go back"
        );
    }
}
