//! The two steps of the filter for one output row, by kind of processor.
//!
//! The first step adds the weighted rows of a window into a row of 16-bit sums, one for each source column; the
//! second one adds the weighted sums of each output sample's columns and rounds. A sum is stored less [`BIAS`], so that
//! it fits in a signed word, which is what the multipliers take. All kinds give the same bytes; `tests` compares them.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod sse41;

use crate::source::{Depth, Plane};
use crate::tables::{Columns, RowWindow};
use crate::window::{COLUMN_BITS, ROW_BITS};

/// Subtracted from every sum: half of what 16 bits hold.
pub(crate) const BIAS: i32 = 1 << 15;

const SHIFT: i32 = (ROW_BITS + COLUMN_BITS) as i32;

/// Added to the weighted sums of an output sample: the bias of all of them, and a half.
const ROUND: i32 = (BIAS << COLUMN_BITS) + (1 << (SHIFT - 1));

/// Rows of samples of one plane, which hold `columns` samples each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsOf<'a> {
    plane: Plane<'a>,
    columns: usize,
    depth: Depth,
}

impl<'a> RowsOf<'a> {
    pub(crate) fn new(plane: Plane<'a>, columns: usize, depth: Depth) -> Self {
        Self { plane, columns, depth }
    }

    /// The rows of a window, checked to lie in the plane: its first byte.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn start(&self, window: &RowWindow<'_>) -> *const u8 {
        let row_bytes = self.columns * self.depth.bytes();
        let rows = &self.plane.data[window.first * self.plane.stride..];
        assert!(
            rows.len() >= (window.rows - 1) * self.plane.stride + row_bytes,
            "rows in the plane"
        );
        rows.as_ptr()
    }

    pub(crate) fn row(&self, row: usize) -> &'a [u8] {
        self.plane.row(row, self.columns * self.depth.bytes())
    }
}

/// Where the sums of a row go: in order, or those of even and odd columns apart.
pub(crate) enum Sums<'a> {
    Row(&'a mut [i16]),
    Apart(&'a mut [i16], &'a mut [i16]),
}

impl Sums<'_> {
    /// Checks that sums of so many columns fit.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn check(&self, columns: usize) {
        match self {
            Self::Row(sums) => assert!(sums.len() >= columns, "room for the sums"),
            Self::Apart(even, odd) => {
                assert!(even.len().min(odd.len()) >= columns / 2, "room for the sums");
            }
        }
    }
}

/// The steps, on one kind of processor.
pub(crate) trait Kernels: Copy {
    /// Adds the weighted rows of a window.
    fn sum_rows(self, rows: &RowsOf<'_>, window: &RowWindow<'_>, sums: Sums<'_>);

    /// Computes `columns.outputs()` output samples.
    fn sum_columns(self, sums: &[i16], columns: &Columns, to: &mut [u8]);
}

/// Starts to load the lines of the cache that hold `bytes` from here on, into the second level.
///
/// The rows of a window are read side by side, in which the processor's own prefetcher finds no pattern where rows
/// share a page. So each step asks for the same columns of the next window: 1080p to 640x360 in 250 us instead of 530.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch(from: *const u8, bytes: usize) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    for at in (0..bytes).step_by(64) {
        // SAFETY: a prefetch touches no memory, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(at).cast()) };
    }
}

/// The kinds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Sse41(sse41::Sse41),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
}

impl Kind {
    /// What this processor has, the best last.
    pub(crate) fn all() -> Vec<Self> {
        let mut kinds = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            kinds.extend(sse41::Sse41::detect().map(Self::Sse41));
            kinds.extend(avx2::Avx2::detect().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        kinds.extend(neon::Neon::detect().map(Self::Neon));
        kinds
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Sse41(_) => "SSE4.1",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "NEON",
        }
    }
}

impl Kernels for Kind {
    fn sum_rows(self, rows: &RowsOf<'_>, window: &RowWindow<'_>, sums: Sums<'_>) {
        match self {
            Self::Scalar => scalar::Scalar.sum_rows(rows, window, sums),
            #[cfg(target_arch = "x86_64")]
            Self::Sse41(kernels) => kernels.sum_rows(rows, window, sums),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kernels) => kernels.sum_rows(rows, window, sums),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(kernels) => kernels.sum_rows(rows, window, sums),
        }
    }

    fn sum_columns(self, sums: &[i16], columns: &Columns, to: &mut [u8]) {
        match self {
            Self::Scalar => scalar::Scalar.sum_columns(sums, columns, to),
            #[cfg(target_arch = "x86_64")]
            Self::Sse41(kernels) => kernels.sum_columns(sums, columns, to),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kernels) => kernels.sum_columns(sums, columns, to),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(kernels) => kernels.sum_columns(sums, columns, to),
        }
    }
}
