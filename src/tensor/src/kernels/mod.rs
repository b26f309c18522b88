//! The steps of a row, by kind of processor. All kinds give the same values; `tests` compares them.
//!
//! A sample between two rows or columns has 7 bits after the binary point, and chroma is stored less 128. With `m` of
//! [`crate::color`], a row between rows `a` and `b`, the second of weight `w` with 15 bits, is
//!
//! ```text
//! (a << 7) + m((b - a) << 7, w)           less 128 << 7 for chroma
//! ```
//!
//! and a column between `p` and `q` with weights `s` and `t` of 14 bits
//!
//! ```text
//! (p * s + q * t + 2^13) >> 14            luma, 7 bits after the binary point
//! (p * s + q * t + 2^12) >> 13            chroma, 8
//! ```

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vectors")]
mod avx2;
#[allow(unsafe_code, reason = "vectors")]
mod lanes;
#[allow(unsafe_code, reason = "vectors")]
mod rows;
mod scalar;

use crate::color::Factors;
use crate::request::Line;
use crate::taps::Columns;

pub(crate) use scalar::Scalar;

/// What is subtracted from chroma between rows: 128.
pub(crate) const CENTER: i16 = 128 << 7;

/// Rows of levels, with 6 bits after the binary point, from 0 to 255.
pub(crate) struct LevelsMut<'a> {
    pub(crate) red: &'a mut [i16],
    pub(crate) green: &'a mut [i16],
    pub(crate) blue: &'a mut [i16],
}

/// The steps, on one kind of processor.
///
/// Slices of a call that have an element for each column have the same length; the steps panic where they have not.
pub(crate) trait Kernels: Copy {
    /// A row between `first` and the row of `second`, which has a weight, less `less`.
    fn between_rows(self, first: &[u8], second: Option<(&[u8], i16)>, less: i16, to: &mut [i16]);

    /// Luma between columns.
    fn luma_columns(self, row: &[i16], columns: &Columns, to: &mut [i16]);

    /// Chroma between columns, from a row of U and V in turns.
    fn chroma_columns(self, row: &[i16], columns: &Columns, u: &mut [i16], v: &mut [i16]);

    /// Luma in full range.
    fn gray_levels(self, factors: &Factors, luma: &[i16], to: &mut [i16]);

    /// Colors.
    fn color_levels(self, factors: &Factors, luma: &[i16], u: &[i16], v: &[i16], to: LevelsMut<'_>);

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
    Avx2(avx2::Avx2),
}

/// Something to do with kernels of any kind.
pub(crate) trait WithKernels {
    type Output;
    fn run<K: Kernels>(self, kernels: K) -> Self::Output;
}

impl Kind {
    /// The best that this processor has.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(kind) = avx2::Avx2::detect() {
            return Self::Avx2(kind);
        }
        Self::Scalar
    }

    /// All that this processor has.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut kinds = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            kinds.extend(avx2::Avx2::detect().map(Self::Avx2));
        }
        kinds
    }

    pub(crate) fn run<W: WithKernels>(self, work: W) -> W::Output {
        match self {
            Self::Scalar => work.run(Scalar),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kind) => work.run(kind),
        }
    }
}
