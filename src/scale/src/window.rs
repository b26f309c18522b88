//! Which samples an output sample averages, and their weights (docs/ref/scaling.md, "Weights").

use crate::plan::{Offset, Plan};

/// The weights of a column of source samples add up to 2 to this power: their sum fits in 16 bits.
pub const ROW_BITS: u32 = 8;

/// The weights of the columns add up to 2 to this power.
pub const COLUMN_BITS: u32 = 14;

/// One direction of one plane: `N`, `D`, `M` and `a` of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    /// `N`: luma samples of the source.
    pub source: u32,
    /// `D`: luma samples of the content.
    pub content: u32,
    /// `M`: samples of this plane in the source.
    pub samples: u32,
    /// Samples of this plane in the content.
    pub outputs: u32,
    /// `a`: how far the windows of chroma are moved.
    pub shift: i32,
}

impl Spans {
    /// The luma plane's columns and rows.
    #[must_use]
    pub fn luma(plan: &Plan) -> [Self; 2] {
        Self::both(plan, |source, content, _| Self {
            source,
            content,
            samples: source,
            outputs: content,
            shift: 0,
        })
    }

    /// A chroma plane's columns and rows.
    #[must_use]
    pub fn chroma(plan: &Plan) -> [Self; 2] {
        Self::both(plan, |source, content, site| Self {
            source,
            content,
            samples: source.div_ceil(2),
            outputs: content.div_ceil(2),
            shift: site.factor(),
        })
    }

    fn both(plan: &Plan, spans: impl Fn(u32, u32, Offset) -> Self) -> [Self; 2] {
        let (source, content, site) = (plan.source(), plan.content(), plan.color().site);
        [
            spans(source.width, content.width, site.across),
            spans(source.height, content.height, site.down),
        ]
    }

    /// `W(m)`: the weights of all samples below `m` in the window of output sample `k`.
    fn below(&self, k: u32, m: u32, bits: u32) -> u32 {
        let (n, d) = (i64::from(self.source), i64::from(self.content));
        let length = 4 * n;
        let begin = i64::from(k) * length - i64::from(self.shift) * (n - d);
        let covered = match m {
            0 => 0,
            m if m >= self.samples => length,
            m => (4 * i64::from(m) * d - begin).clamp(0, length),
        };
        (((covered << bits) + 2 * n) / length) as u32
    }

    /// The window of output sample `k`: its first sample, and the weights from there on. The first and the last
    /// weight are not 0, and they add up to `1 << bits`.
    pub(crate) fn window(&self, k: u32, bits: u32) -> Window {
        let (n, d) = (i64::from(self.source), i64::from(self.content));
        let begin = i64::from(k) * 4 * n - i64::from(self.shift) * (n - d);
        let last = i64::from(self.samples) - 1;
        let first = begin.div_euclid(4 * d).clamp(0, last) as u32;
        let end = ((begin + 4 * n - 1).div_euclid(4 * d).clamp(0, last) + 1) as u32;
        let weight = |m| (self.below(k, m + 1, bits) - self.below(k, m, bits)) as u16;
        let mut first = first;
        let mut weights: Vec<u16> = (first..end).map(weight).collect();
        while weights.last() == Some(&0) {
            weights.pop();
        }
        let zeros = weights.iter().take_while(|weight| **weight == 0).count();
        weights.drain(..zeros);
        first += zeros as u32;
        Window { first, weights }
    }

    /// All windows.
    pub(crate) fn windows(&self, bits: u32) -> Vec<Window> {
        (0..self.outputs).map(|k| self.window(k, bits)).collect()
    }
}

/// The samples that one output sample averages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) first: u32,
    pub(crate) weights: Vec<u16>,
}
