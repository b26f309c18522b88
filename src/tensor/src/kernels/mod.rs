//! The steps of a row, by kind of processor. All kinds give the same values; `tests` compares them.
//!
//! The levels of an output pixel are between those of two by two pixels `p`, `q` (upper) and `r`, `s` (lower) of the
//! source, whose colors are converted first, as [`crate::color`] states. With its `m`, a weight `d` of the lower row of
//! 15 bits, and weights `a`, `b` of the columns of 14 bits, they are
//!
//! ```text
//! left  = p + m(r - p, d)         p without a lower row
//! right = q + m(s - q, d)
//! level = (left * a + right * b + 2^13) >> 14
//! ```

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vectors")]
mod avx2;
#[allow(unsafe_code, reason = "vectors")]
mod lanes;
#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code, reason = "vectors")]
mod neon;
#[allow(unsafe_code, reason = "vectors")]
mod rows;
mod scalar;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vectors")]
mod sse41;

use crate::color::Factors;
use crate::request::Line;
use crate::taps::Columns;

pub(crate) use scalar::Scalar;

/// A row that pixels are taken from: luma, and chroma unless only gray is wanted.
#[derive(Clone, Copy)]
pub(crate) struct TapRow<'a> {
    pub(crate) luma: &'a [u8],
    pub(crate) chroma: &'a [u8],
}

/// Rows of levels, with 6 bits after the binary point, from 0 to 255.
pub(crate) struct LevelsMut<'a> {
    pub(crate) red: &'a mut [i16],
    pub(crate) green: &'a mut [i16],
    pub(crate) blue: &'a mut [i16],
}

/// The steps, on one kind of processor.
///
/// Slices of a call that have an element for each column have the same length; levels between pixels are written for
/// [all columns](Columns::padded) of the tables. The steps panic where it is not so.
pub(crate) trait Kernels: Copy {
    /// Luma in full range between the pixels of one or two rows, the second with its weight.
    fn gray_levels(
        self,
        factors: &Factors,
        upper: &[u8],
        lower: Option<(&[u8], i16)>,
        columns: &Columns,
        to: &mut [i16],
    );

    /// Colors between the pixels of one or two rows, the second with its weight.
    fn color_levels(
        self,
        factors: &Factors,
        upper: TapRow<'_>,
        lower: Option<(TapRow<'_>, i16)>,
        columns: &Columns,
        to: LevelsMut<'_>,
    );

    /// Bytes of one channel.
    fn bytes(self, levels: &[i16], to: &mut [u8]);

    /// Bytes of three channels in turns.
    fn packed_bytes(self, levels: [&[i16]; 3], to: &mut [u8]);

    /// Elements of one channel.
    fn floats(self, levels: &[i16], line: Line, to: &mut [f32]);

    /// Elements of three channels in turns.
    fn packed_floats(self, levels: [&[i16]; 3], lines: [Line; 3], to: &mut [f32]);

    /// A whole row of luma to bytes in full range.
    fn convert_gray(self, factors: &Factors, luma: &[u8], to: &mut [u8]);

    /// One or two whole rows of luma and their row of chroma to packed bytes. `BGR`: blue first.
    fn convert_rows<const BGR: bool>(
        self,
        factors: &Factors,
        luma: [&[u8]; 2],
        chroma: &[u8],
        to: [&mut [u8]; 2],
    );
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

/// Something to do with kernels of any kind.
pub(crate) trait WithKernels {
    type Output;
    fn run<K: Kernels>(self, kernels: K) -> Self::Output;
}

impl Kind {
    /// What this processor has, the best first; always [`Scalar`].
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors =
            [avx2::Avx2::detect().map(Self::Avx2), sse41::Sse41::detect().map(Self::Sse41)];
        #[cfg(target_arch = "aarch64")]
        let vectors = [neon::Neon::detect().map(Self::Neon)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let vectors: [Option<Self>; 0] = [];
        vectors.into_iter().flatten().chain([Self::Scalar])
    }

    /// The best that this processor has.
    pub(crate) fn best() -> Self {
        Self::all().next().unwrap_or(Self::Scalar)
    }

    pub(crate) fn run<W: WithKernels>(self, work: W) -> W::Output {
        match self {
            Self::Scalar => work.run(Scalar),
            #[cfg(target_arch = "x86_64")]
            Self::Sse41(kind) => work.run(kind),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kind) => work.run(kind),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(kind) => work.run(kind),
        }
    }
}
