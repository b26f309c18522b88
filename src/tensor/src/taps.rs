//! Which samples an output row or column is interpolated from, and their weights.
//!
//! The sampling is that of `cv2.resize` with `INTER_LINEAR`: output pixel `x` of a content of `c` pixels lies at
//! `(x + 0.5) * n / c - 0.5` of the source's `n`. It has the two pixels around it in proportion, and the pixel at an edge
//! alone outside. Chroma is that of the two pixels: each sample belongs to two by two pixels.

use std::ops::Range;

/// Bits of a row's weight.
pub(crate) const ROW_BITS: u32 = 15;
/// Bits of a column's weight.
pub(crate) const COLUMN_BITS: u32 = 14;

/// A position between two pixels of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    /// The pixel before it.
    first: usize,
    /// How far it is on the way to the next one: `part / whole`.
    part: u64,
    whole: u64,
}

impl Position {
    /// Where pixel `at` of `content` pixels lies among `source` pixels.
    fn new(at: u32, content: u32, source: u32) -> Self {
        let [at, content, source] = [at, content, source].map(i64::from);
        // Exact: below 2^30.
        let (place, whole) = ((2 * at + 1) * source - content, 2 * content);
        let (first, part) = (place.div_euclid(whole), place.rem_euclid(whole));
        let last = source - 1;
        let (first, part) = if first < 0 {
            (0, 0)
        } else if first >= last {
            (last, 0)
        } else {
            (first, part)
        };
        Self { first: first as usize, part: part.cast_unsigned(), whole: whole.cast_unsigned() }
    }

    /// The weight of the second pixel, with so many bits after the binary point.
    fn weight(&self, bits: u32) -> i32 {
        (((self.part << (bits + 1)) + self.whole) / (2 * self.whole)) as i32
    }
}

/// Two rows, and the weight of the second with [`ROW_BITS`] bits; it has no say where the weight is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowTaps {
    pub(crate) first: usize,
    pub(crate) weight: i16,
}

/// What an output row is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowPlan {
    pub(crate) luma: RowTaps,
    pub(crate) chroma: RowTaps,
}

/// The rows of an output: `outputs` of a content that begins at `begin`.
pub(crate) fn rows(outputs: Range<i32>, begin: i32, content: u32, source: u32) -> Vec<RowPlan> {
    let plan = |output: i32| {
        let position = Position::new((output - begin).cast_unsigned(), content, source);
        // A weight of 1 does not fit in 16 bits; 2^-15 of a level less is nothing.
        let weight = position.weight(ROW_BITS).min(i32::from(i16::MAX)) as i16;
        let first = position.first;
        // An even row and the one below it have the same chroma.
        let between = if first % 2 == 1 { weight } else { 0 };
        RowPlan {
            luma: RowTaps { first, weight },
            chroma: RowTaps { first: first / 2, weight: between },
        }
    };
    outputs.map(plan).collect()
}

/// Pairs of neighboring samples and the weights of both, for each output column.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The first sample of each pair.
    pub(crate) first: Vec<u32>,
    /// The weights of both samples, with [`COLUMN_BITS`] bits. Their sum is 1.
    pub(crate) weights: Vec<[i16; 2]>,
    /// Samples in a row that all pairs lie in, the second sample of the last pair included.
    reach: usize,
}

impl Columns {
    fn new(pairs: impl Iterator<Item = (u32, i32)>) -> Self {
        let (mut first, mut weights) = (Vec::new(), Vec::new());
        for (at, weight) in pairs {
            first.push(at);
            weights.push([(1 << COLUMN_BITS) - weight, weight].map(|weight| weight as i16));
        }
        let reach = first.iter().max().map_or(0, |last| *last as usize + 2);
        Self { first, weights, reach }
    }

    /// Output columns.
    pub(crate) fn len(&self) -> usize {
        self.first.len()
    }

    /// Samples that a row needs. One more than it has, where the last pixel is the last sample: its weight is 0.
    pub(crate) fn reach(&self) -> usize {
        self.reach
    }
}

/// The columns of an output, as [`rows`]: those of luma and those of chroma.
pub(crate) fn columns(
    outputs: Range<i32>,
    begin: i32,
    content: u32,
    source: u32,
) -> (Columns, Columns) {
    let positions: Vec<Position> = outputs
        .map(|output| Position::new((output - begin).cast_unsigned(), content, source))
        .collect();
    let luma = |at: &Position| (at.first as u32, at.weight(COLUMN_BITS));
    let chroma = |at: &Position| {
        let between = if at.first % 2 == 1 { at.weight(COLUMN_BITS) } else { 0 };
        ((at.first / 2) as u32, between)
    };
    (Columns::new(positions.iter().map(luma)), Columns::new(positions.iter().map(chroma)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_opencv() {
        for (content, source) in
            [(640, 1920), (360, 1080), (3, 7), (7, 3), (1, 5), (5, 1), (16_384, 3)]
        {
            for at in 0..content {
                let scale = f64::from(source) / f64::from(content);
                let place = ((f64::from(at) + 0.5) * scale - 0.5).clamp(0.0, f64::from(source - 1));
                let position = Position::new(at, content, source);
                let found = position.first as f64 + position.part as f64 / position.whole as f64;
                assert!(
                    (found - place).abs() < 1e-9,
                    "{at} of {content} from {source}: {found} {place}"
                );
                let weight = f64::from(position.weight(COLUMN_BITS)) / 16384.0;
                assert!((weight - place.fract()).abs() < 1e-4 || weight > 0.9999, "{weight}");
            }
        }
    }

    #[test]
    fn three_to_one_takes_every_third_pixel_alone() {
        let (luma, chroma) = columns(0..640, 0, 640, 1920);
        assert!(luma.first.iter().enumerate().all(|(x, first)| *first as usize == 3 * x + 1));
        assert!(luma.weights.iter().chain(&chroma.weights).all(|weights| *weights == [1 << 14, 0]));
        assert!(rows(0..360, 0, 360, 1080).iter().all(|row| row.luma.weight == 0));
    }

    #[test]
    fn chroma_is_that_of_the_pixels() {
        // Each pixel of four is between two: 0|1, 2|3 within a sample; 1|2 between two samples.
        let (luma, chroma) = columns(0..3, 0, 3, 4);
        assert_eq!(luma.first, [0, 1, 2]);
        assert_eq!(chroma.first, [0, 0, 1]);
        assert_eq!(chroma.weights[0], [1 << 14, 0]);
        assert_eq!(chroma.weights[1], luma.weights[1]);
        assert_eq!(chroma.weights[2], [1 << 14, 0]);
    }

    #[test]
    fn every_pair_lies_within_its_reach() {
        for (content, source) in [(640, 1920), (1, 1), (5, 1), (9, 4), (640, 641)] {
            let (luma, chroma) = columns(0..content, 0, content as u32, source);
            assert!(luma.reach() <= source as usize + 1, "{content} from {source}");
            assert!(chroma.reach() <= source.div_ceil(2) as usize + 1, "{content} from {source}");
            let last = luma.first.len() - 1;
            if luma.first[last] + 1 == source {
                assert_eq!(luma.weights[last], [1 << 14, 0]);
            }
        }
    }
}
