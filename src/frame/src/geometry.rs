//! The layout of a picture in a slot, and its size in bytes.

use crate::color::Color;

/// Largest width or height of a picture, in pixels (8K is 7680x4320).
pub const MAX_SIDE: u32 = 16_384;

/// Alignment of each row in bytes: one cache line, so that a row's stores are whole lines.
const ROW_ALIGN: u32 = 64;

/// Slots begin on a page.
const PAGE: u64 = 4096;

/// Picture size and color of one epoch; stride and offsets are derived from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    width: u32,
    height: u32,
    color: Color,
    bit_depth: u8,
}

/// No slot can hold pictures of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a picture of {width}x{height} can't be exported: expected 1 to {MAX_SIDE} pixels a side")]
pub struct InvalidGeometry {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Geometry {
    /// A visible picture of `width` x `height` pixels from a source with `bit_depth` bits per
    /// sample.
    ///
    /// # Errors
    /// [`InvalidGeometry`] if a side is 0 or above [`MAX_SIDE`].
    ///
    /// ```
    /// use vas_frame::{Color, Geometry};
    ///
    /// let geometry = Geometry::new(1366, 768, Color::default(), 8)?;
    /// assert_eq!((geometry.stride(), geometry.tight_bytes()), (1408, 1366 * 768 * 3 / 2));
    /// # Ok::<(), vas_frame::InvalidGeometry>(())
    /// ```
    pub fn new(
        width: u32,
        height: u32,
        color: Color,
        bit_depth: u8,
    ) -> Result<Self, InvalidGeometry> {
        let sides = 1..=MAX_SIDE;
        if sides.contains(&width) && sides.contains(&height) {
            Ok(Self { width, height, color, bit_depth })
        } else {
            Err(InvalidGeometry { width, height })
        }
    }

    /// Visible width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Visible height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Color description.
    #[must_use]
    pub fn color(&self) -> Color {
        self.color
    }

    /// Bits per sample in the source; slots hold 8.
    #[must_use]
    pub fn bit_depth(&self) -> u8 {
        self.bit_depth
    }

    /// Bytes between the starts of two rows, in both planes: the width rounded up to even, then to
    /// 64.
    #[must_use]
    pub fn stride(&self) -> u32 {
        self.width.next_multiple_of(ROW_ALIGN)
    }

    /// Bytes of a row of the chroma plane without padding: a pair for every two columns, rounded
    /// up.
    #[must_use]
    pub fn chroma_row_bytes(&self) -> u32 {
        self.width.next_multiple_of(2)
    }

    /// Rows of the chroma plane.
    #[must_use]
    pub fn chroma_rows(&self) -> u32 {
        self.height.div_ceil(2)
    }

    /// Byte offset of the chroma plane in a slot.
    #[must_use]
    pub fn uv_offset(&self) -> u32 {
        self.stride() * self.height
    }

    /// Bytes of a picture in its slot, row padding included.
    #[must_use]
    pub fn picture_bytes(&self) -> u64 {
        u64::from(self.uv_offset()) + u64::from(self.stride()) * u64::from(self.chroma_rows())
    }

    /// Bytes of a tight NV12 picture: rows without padding, chroma directly after luma.
    #[must_use]
    pub fn tight_bytes(&self) -> usize {
        let luma = self.width as usize * self.height as usize;
        luma + self.chroma_row_bytes() as usize * self.chroma_rows() as usize
    }

    /// Bytes between the starts of two slots: whole pages.
    #[must_use]
    pub fn slot_stride(&self) -> u64 {
        self.picture_bytes().next_multiple_of(PAGE)
    }

    /// Bytes of a ring with so many slots: both of its files.
    #[must_use]
    pub fn ring_bytes(&self, slots: u32) -> u64 {
        self.slot_stride() * u64::from(slots) + crate::layout::meta_bytes(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(width: u32, height: u32) -> Geometry {
        Geometry::new(width, height, Color::default(), 8).unwrap()
    }

    #[test]
    fn full_hd() {
        let g = geometry(1920, 1080);
        assert_eq!((g.stride(), g.uv_offset(), g.chroma_rows()), (1920, 2_073_600, 540));
        assert_eq!(g.picture_bytes(), 3_110_400);
        assert_eq!(g.tight_bytes(), 3_110_400);
        assert_eq!(g.slot_stride(), 3_112_960);
    }

    #[test]
    fn odd_sizes_round_chroma_up() {
        let g = geometry(853, 481);
        assert_eq!((g.stride(), g.chroma_row_bytes(), g.chroma_rows()), (896, 854, 241));
        assert_eq!(g.tight_bytes(), 853 * 481 + 854 * 241);
        let dot = geometry(1, 1);
        assert_eq!((dot.stride(), dot.chroma_row_bytes(), dot.tight_bytes()), (64, 2, 3));
    }

    #[test]
    fn largest_fits_and_one_more_does_not() {
        let g = geometry(MAX_SIDE, MAX_SIDE);
        assert_eq!(g.uv_offset(), 1 << 28);
        for (w, h) in [(0, 1), (1, 0), (MAX_SIDE + 1, 1), (1, MAX_SIDE + 1)] {
            assert!(Geometry::new(w, h, Color::default(), 8).is_err());
        }
    }
}
