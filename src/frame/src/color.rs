//! How to interpret a picture's samples as colors.

/// Sample range, as in H.273's `VideoFullRangeFlag` and FFmpeg's `AVColorRange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Range {
    /// Not stated by the camera; readers treat it as limited, as H.264 and H.265 do.
    #[default]
    Unspecified = 0,
    /// Luma 16 to 235, chroma 16 to 240.
    Limited = 1,
    /// 0 to 255.
    Full = 2,
}

impl Range {
    /// The range for a code of the format; unknown codes are unspecified.
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Limited,
            2 => Self::Full,
            _ => Self::Unspecified,
        }
    }
}

/// Color description of an epoch: codes of ITU-T H.273, as in FFmpeg.
///
/// A frame is never converted: it keeps the camera's range and matrix, which are stated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Color {
    /// Sample range.
    pub range: Range,
    /// `ColourPrimaries` (H.273 table 2); 2 is unspecified.
    pub primaries: u8,
    /// `TransferCharacteristics` (H.273 table 3); 2 is unspecified.
    pub transfer: u8,
    /// `MatrixCoefficients` (H.273 table 4); 2 is unspecified.
    pub matrix: u8,
    /// Chroma sample position as FFmpeg's `AVChromaLocation`: 0 unspecified, 1 left, 2 center, 3
    /// top left, 4 top, 5 bottom left, 6 bottom.
    pub chroma_location: u8,
}
