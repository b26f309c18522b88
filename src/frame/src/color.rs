//! How the numbers of a picture are to be read as colours.

/// Sample range, as H.273's `VideoFullRangeFlag` and FFmpeg's `AVColorRange` put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Range {
    /// The camera did not say; readers treat it as limited, as H.264 and H.265 do.
    #[default]
    Unspecified = 0,
    /// Luma 16 to 235, chroma 16 to 240.
    Limited = 1,
    /// 0 to 255.
    Full = 2,
}

impl Range {
    /// The range behind a code of the format; an unknown code is unspecified.
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Limited,
            2 => Self::Full,
            _ => Self::Unspecified,
        }
    }
}

/// Colour description of an epoch: the codes of ITU-T H.273 as FFmpeg carries them.
///
/// A frame is never converted: it keeps the camera's range and matrix, and this says which.
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
    /// Chroma sample position as FFmpeg's `AVChromaLocation`: 0 unspecified, 1 left, 2 centre,
    /// 3 top left, 4 top, 5 bottom left, 6 bottom.
    pub chroma_location: u8,
}
