//! The pictures that are scaled.

use crate::plan::Size;

/// One plane: rows of samples, `stride` bytes apart.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The rows; the last one may end with its last sample.
    pub data: &'a [u8],
    /// Bytes between the starts of two rows.
    pub stride: usize,
}

impl<'a> Plane<'a> {
    /// A plane.
    #[must_use]
    pub fn new(data: &'a [u8], stride: usize) -> Self {
        Self { data, stride }
    }

    pub(crate) fn holds(&self, rows: usize, row_bytes: usize) -> bool {
        self.stride >= row_bytes
            && self.data.len() >= self.stride.saturating_mul(rows - 1).saturating_add(row_bytes)
    }

    pub(crate) fn row(&self, row: usize, bytes: usize) -> &'a [u8] {
        &self.data[row * self.stride..][..bytes]
    }
}

/// A decoded 4:2:0 picture in memory. Chroma planes of an odd-sized picture are rounded up.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// 8-bit luma, and U and V interleaved.
    Nv12 {
        /// Luma.
        y: Plane<'a>,
        /// U and V interleaved.
        uv: Plane<'a>,
    },
    /// As NV12, of little-endian 16-bit words whose high bits count: P010, P012 and P016.
    P016 {
        /// Luma.
        y: Plane<'a>,
        /// U and V interleaved.
        uv: Plane<'a>,
    },
    /// Three planes of 8-bit samples.
    Yuv420p {
        /// Luma.
        y: Plane<'a>,
        /// Blue difference.
        u: Plane<'a>,
        /// Red difference.
        v: Plane<'a>,
    },
    /// Three planes of 10-bit samples in the low bits of little-endian 16-bit words.
    Yuv420p10 {
        /// Luma.
        y: Plane<'a>,
        /// Blue difference.
        u: Plane<'a>,
        /// Red difference.
        v: Plane<'a>,
    },
}

/// How samples lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Bytes.
    Eight,
    /// 10 bits in the low bits of words.
    LowTen,
    /// The high bits of words.
    High,
}

impl Depth {
    pub(crate) fn bytes(self) -> usize {
        if self == Self::Eight { 1 } else { 2 }
    }

    /// Sample `at` of a row, of 8 bits.
    pub(crate) fn sample(self, row: &[u8], at: usize) -> u8 {
        let word = || u16::from_le_bytes([row[2 * at], row[2 * at + 1]]);
        match self {
            Self::Eight => row[at],
            Self::LowTen => reduce_10(word()),
            Self::High => reduce_16(word()),
        }
    }
}

/// The chroma of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chroma<'a> {
    Interleaved(Plane<'a>),
    Planar(Plane<'a>, Plane<'a>),
}

impl<'a> Source<'a> {
    pub(crate) fn luma(&self) -> Plane<'a> {
        match self {
            Self::Nv12 { y, .. }
            | Self::P016 { y, .. }
            | Self::Yuv420p { y, .. }
            | Self::Yuv420p10 { y, .. } => *y,
        }
    }

    pub(crate) fn chroma(&self) -> Chroma<'a> {
        match self {
            Self::Nv12 { uv, .. } | Self::P016 { uv, .. } => Chroma::Interleaved(*uv),
            Self::Yuv420p { u, v, .. } | Self::Yuv420p10 { u, v, .. } => Chroma::Planar(*u, *v),
        }
    }

    pub(crate) fn depth(&self) -> Depth {
        match self {
            Self::Nv12 { .. } | Self::Yuv420p { .. } => Depth::Eight,
            Self::Yuv420p10 { .. } => Depth::LowTen,
            Self::P016 { .. } => Depth::High,
        }
    }

    /// Whether every plane is large enough for a picture of this size.
    #[must_use]
    pub fn fits(&self, size: Size) -> bool {
        let (width, height) = (size.width as usize, size.height as usize);
        let (half, rows) = (width.div_ceil(2), height.div_ceil(2));
        let bytes = self.depth().bytes();
        let chroma = match self.chroma() {
            Chroma::Interleaved(uv) => uv.holds(rows, 2 * half * bytes),
            Chroma::Planar(u, v) => u.holds(rows, half * bytes) && v.holds(rows, half * bytes),
        };
        chroma && self.luma().holds(height, width * bytes)
    }
}

/// The 10-bit rule: `min(255, (x + 2) >> 2)`.
#[inline]
#[must_use]
pub fn reduce_10(sample: u16) -> u8 {
    ((u32::from(sample) + 2) >> 2).min(255) as u8
}

/// The same rule for a sample in the high bits of a word, of 10 bits or more: `min(255, (x + 128) >> 8)`.
#[inline]
#[must_use]
pub fn reduce_16(word: u16) -> u8 {
    ((u32::from(word) + 128) >> 8).min(255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_round_and_saturate() {
        for (sample, expected) in
            [(0, 0), (1, 0), (2, 1), (5, 1), (6, 2), (1020, 255), (1023, 255), (u16::MAX, 255)]
        {
            assert_eq!(reduce_10(sample), expected, "{sample}");
        }
        // 12 bits: 2055 / 16 is 128.4.
        assert_eq!(reduce_16(2055 << 4), 128);
        assert_eq!(reduce_16(2056 << 4), 129);
    }

    /// P010's words follow the 10-bit rule, whatever their low bits hold.
    #[test]
    fn high_words_follow_the_ten_bit_rule() {
        for word in 0..=u16::MAX {
            assert_eq!(reduce_16(word), reduce_10(word >> 6), "{word}");
        }
    }
}
