//! The weights in the order in which the kernels load them.
//!
//! Rows: the kernels take two rows at a time, multiply their interleaved bytes by a pair of weights and add.
//! A weight of 256, which no byte holds, is two halves of one row.
//!
//! Columns: the kernels load eight 16-bit sums at a time and multiply them by eight weights. Where the windows of two
//! neighbors lie within eight sums and have at most four each, one load serves both ([`Pairs`]); otherwise a
//! window takes as many loads as it needs ([`Eights`]).

use crate::window::{COLUMN_BITS, ROW_BITS, Spans, Window};

/// Sums that a kernel loads at a time.
pub(crate) const LOAD: usize = 8;

/// Output samples that a kernel computes at a time; there are tables for a multiple of it.
pub(crate) const GROUP: usize = 16;

/// Two weights, the first one in the low byte.
pub(crate) type RowPair = u16;

/// The rows of each output row.
#[derive(Debug)]
pub(crate) struct Rows {
    /// First source row, number of rows, and where the pairs begin.
    windows: Vec<(u32, u32, u32)>,
    pairs: Vec<RowPair>,
}

/// The rows of one output row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowWindow<'a> {
    pub(crate) first: usize,
    /// The last pair has one row, twice, if this is odd.
    pub(crate) rows: usize,
    pub(crate) pairs: &'a [RowPair],
}

impl Rows {
    pub(crate) fn new(spans: &Spans) -> Self {
        let (mut windows, mut pairs) = (Vec::new(), Vec::new());
        for Window { first, weights } in spans.windows(ROW_BITS) {
            windows.push((first, weights.len() as u32, pairs.len() as u32));
            if weights[..] == [1 << ROW_BITS] {
                pairs.push(0x8080);
                continue;
            }
            let pair = |two: &[u16]| two[0] | two.get(1).copied().unwrap_or(0) << 8;
            pairs.extend(weights.chunks(2).map(pair));
        }
        Self { windows, pairs }
    }

    pub(crate) fn len(&self) -> usize {
        self.windows.len()
    }

    pub(crate) fn window(&self, row: usize) -> RowWindow<'_> {
        let (first, rows, at) = self.windows[row];
        let pairs = &self.pairs[at as usize..][..rows.div_ceil(2) as usize];
        RowWindow { first: first as usize, rows: rows as usize, pairs }
    }
}

/// Eight weights, or the bytes of a shuffle.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
pub(crate) struct Line<T>(pub(crate) T);

/// The columns of each output column.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) lines: Lines,
    outputs: usize,
    reach: usize,
}

/// The loads of each output column.
#[derive(Debug)]
pub(crate) enum Lines {
    Pairs(Pairs),
    Eights(Eights),
}

/// Two output samples to a load.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// Where each pair's load begins.
    pub(crate) first: Vec<u32>,
    /// Moves the first sample's sums to the low half and the second one's to the high half.
    pub(crate) shuffles: Vec<Line<[u8; 16]>>,
    pub(crate) weights: Vec<Line<[i16; 8]>>,
}

/// One output sample to `loads` loads.
#[derive(Debug)]
pub(crate) struct Eights {
    pub(crate) loads: usize,
    /// Where each sample's first load begins.
    pub(crate) first: Vec<u32>,
    /// `loads` for each sample.
    pub(crate) weights: Vec<Line<[i16; 8]>>,
}

impl Columns {
    pub(crate) fn new(spans: &Spans) -> Self {
        let mut windows = spans.windows(COLUMN_BITS);
        let rest = windows.len().next_multiple_of(GROUP);
        windows.resize(rest, Window { first: 0, weights: Vec::new() });
        let outputs = windows.len();
        let (last, loads, lines) = match Pairs::new(&windows) {
            Some(pairs) => (pairs.first.iter().max().copied(), 1, Lines::Pairs(pairs)),
            None => {
                let eights = Eights::new(&windows);
                (eights.first.iter().max().copied(), eights.loads, Lines::Eights(eights))
            }
        };
        let reach = last.unwrap_or(0) as usize + LOAD * loads;
        Self { lines, outputs, reach }
    }

    /// Output samples, rounded up to whole groups.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Sums that the kernels may load: all loads end below.
    pub(crate) fn reach(&self) -> usize {
        self.reach
    }
}

impl Pairs {
    fn new(windows: &[Window]) -> Option<Self> {
        let mut pairs = Self { first: Vec::new(), shuffles: Vec::new(), weights: Vec::new() };
        for two in windows.chunks_exact(2) {
            // A window of the padding has no samples.
            let first = two[0].first;
            let mut shuffle = [0x80; 16];
            let mut weights = [0; 8];
            for (half, window) in two.iter().enumerate().filter(|(_, w)| !w.weights.is_empty()) {
                let offset = window.first.checked_sub(first)? as usize;
                if window.weights.len() > 4 || offset + window.weights.len() > LOAD {
                    return None;
                }
                for (at, weight) in window.weights.iter().enumerate() {
                    let (to, from) = (4 * half + at, (offset + at) as u8);
                    weights[to] = *weight as i16;
                    shuffle[2 * to..2 * to + 2].copy_from_slice(&[2 * from, 2 * from + 1]);
                }
            }
            pairs.first.push(first);
            pairs.shuffles.push(Line(shuffle));
            pairs.weights.push(Line(weights));
        }
        Some(pairs)
    }
}

impl Eights {
    fn new(windows: &[Window]) -> Self {
        let longest = windows.iter().map(|window| window.weights.len()).max().unwrap_or(0);
        let loads = longest.div_ceil(LOAD).max(1);
        let mut weights = Vec::with_capacity(windows.len() * loads);
        for window in windows {
            let mut own = vec![Line([0; LOAD]); loads];
            for (at, weight) in window.weights.iter().enumerate() {
                own[at / LOAD].0[at % LOAD] = *weight as i16;
            }
            weights.extend(own);
        }
        Self { loads, first: windows.iter().map(|window| window.first).collect(), weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luma(source: u32, content: u32) -> Spans {
        Spans { source, content, samples: source, outputs: content, shift: 0 }
    }

    #[test]
    fn weights_add_up_for_every_ratio() {
        for source in 1..=64 {
            for content in 1..=source {
                for shift in -1..=1 {
                    let samples = u32::div_ceil(source, 2);
                    let outputs = u32::div_ceil(content, 2);
                    let chroma = Spans { source, content, samples, outputs, shift };
                    for spans in [luma(source, content), chroma] {
                        for bits in [ROW_BITS, COLUMN_BITS] {
                            for Window { first, weights } in spans.windows(bits) {
                                let sum: u32 = weights.iter().map(|w| u32::from(*w)).sum();
                                assert_eq!(sum, 1 << bits, "{spans:?}");
                                assert!(first as usize + weights.len() <= spans.samples as usize);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn weights_add_up_for_the_largest_sides() {
        for (source, content) in [(16_384, 16_383), (16_384, 1), (16_383, 16_382), (1, 1)] {
            for bits in [ROW_BITS, COLUMN_BITS] {
                for Window { weights, .. } in luma(source, content).windows(bits) {
                    assert_eq!(weights.iter().map(|w| u32::from(*w)).sum::<u32>(), 1 << bits);
                }
            }
        }
    }

    #[test]
    fn common_ratios_take_one_load_for_two() {
        assert!(matches!(Columns::new(&luma(1920, 640)).lines, Lines::Pairs(_)));
        assert!(matches!(Columns::new(&luma(1920, 1280)).lines, Lines::Pairs(_)));
        let Lines::Eights(eights) = Columns::new(&luma(3840, 640)).lines else {
            panic!("six columns")
        };
        assert_eq!(eights.loads, 1);
    }

    #[test]
    fn a_third_of_the_rows() {
        let rows = Rows::new(&luma(1080, 360));
        let window = rows.window(1);
        assert_eq!((window.first, window.rows), (3, 3));
        assert_eq!(window.pairs, [85 | 86 << 8, 85]);
    }
}
