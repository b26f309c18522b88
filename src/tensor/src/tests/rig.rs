//! Pictures with random samples.

use crate::color::{ColorSpace, Matrix};
use crate::source::Nv12;

pub(super) const MATRICES: [Matrix; 5] =
    [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020, Matrix::Fcc, Matrix::Smpte240m];

pub(super) fn spaces() -> impl Iterator<Item = ColorSpace> {
    MATRICES
        .into_iter()
        .flat_map(|matrix| [false, true].map(|full_range| ColorSpace { matrix, full_range }))
}

/// A picture with padded rows.
pub(super) struct Picture {
    pub(super) size: (u32, u32),
    luma: Vec<u8>,
    chroma: Vec<u8>,
    luma_stride: usize,
    chroma_stride: usize,
}

impl Picture {
    /// `sample` is asked for each byte.
    pub(super) fn new(size: (u32, u32), mut sample: impl FnMut() -> u8) -> Self {
        let (width, height) = (size.0 as usize, size.1 as usize);
        let (luma_stride, chroma_stride) = (width + 3, width.next_multiple_of(2) + 5);
        Self {
            size,
            luma: (0..luma_stride * height).map(|_| sample()).collect(),
            chroma: (0..chroma_stride * height.div_ceil(2)).map(|_| sample()).collect(),
            luma_stride,
            chroma_stride,
        }
    }

    pub(super) fn random(size: (u32, u32), rng: &mut fastrand::Rng) -> Self {
        Self::new(size, || rng.u8(..))
    }

    pub(super) fn nv12(&self) -> Nv12<'_> {
        Nv12::new(self.size, (&self.luma, self.luma_stride), (&self.chroma, self.chroma_stride))
            .unwrap()
    }

    /// The samples Y, U and V of a pixel.
    pub(super) fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let uv = y / 2 * self.chroma_stride + x / 2 * 2;
        [self.luma[y * self.luma_stride + x], self.chroma[uv], self.chroma[uv + 1]]
    }
}
