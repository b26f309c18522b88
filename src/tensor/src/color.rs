//! What a picture's samples mean, and the factors that turn them into red, green and blue.
//!
//! All arithmetic on colors is in 16-bit integers, stated to the bit here, and equal on every processor. With
//!
//! ```text
//! m(a, b) = (a * b + 2^14) >> 15          the product of two signed 16-bit numbers, rounded
//! ```
//!
//! luma `y` with 7 bits after the binary point, and chroma `u`, `v` with 8, from which 128 is subtracted, are
//!
//! ```text
//! l = m(y, L) - black
//! r = clamp(l + m(v, RV))
//! g = clamp(l + (m(u, GU) + m(v, GV)))
//! b = clamp(l + m(u, BU))
//! ```
//!
//! with 6 bits after the binary point. `l + ...` saturates at 16 bits; `clamp` keeps 0 to 255. The factors are those of
//! ITU-R BT.601 (2.5), which the other matrices share except for their weights: `L` rounded to 14 bits after the binary
//! point, the other four to 13. A byte is `(r + 32) >> 6`. The result is within one level of exact arithmetic.

use vas_frame::{Color, Range};

/// The matrices that 4:2:0 pictures have (H.273 table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// BT.601, and BT.470 System B, G: codes 5 and 6.
    Bt601,
    /// BT.709: code 1.
    Bt709,
    /// BT.2020: codes 9 and 10. Constant luminance (10) is converted like the other.
    Bt2020,
    /// FCC 73.682: code 4.
    Fcc,
    /// SMPTE 240M: code 7.
    Smpte240m,
}

impl Matrix {
    /// The matrix for a code of H.273 table 4.
    ///
    /// A code that states nothing, or nothing that 4:2:0 can be (0 is RGB itself, which some cameras state wrongly), is
    /// guessed from the height of the camera's picture as Chromium does (`media/ffmpeg/ffmpeg_common.cc`): BT.601 below
    /// 720 rows, BT.709 from there on. FFmpeg's swscale assumes BT.601 at any height.
    #[must_use]
    pub fn of(code: u8, height: u32) -> Self {
        match code {
            1 => Self::Bt709,
            4 => Self::Fcc,
            5 | 6 => Self::Bt601,
            7 => Self::Smpte240m,
            9 | 10 => Self::Bt2020,
            _ if height < 720 => Self::Bt601,
            _ => Self::Bt709,
        }
    }

    /// Weights of red and blue in luma; green has the rest.
    fn weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
            Self::Fcc => (0.30, 0.11),
            Self::Smpte240m => (0.212, 0.087),
        }
    }
}

/// Matrix and range: all that a conversion to RGB depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColorSpace {
    /// The matrix.
    pub matrix: Matrix,
    /// Whether samples use the full range 0 to 255. In limited range black is 16, white 235, and chroma 16 to 240.
    pub full_range: bool,
}

impl ColorSpace {
    /// The meaning of a color description. `height` is that of the camera's picture, which decides where the matrix is
    /// not stated ([`Matrix::of`]): [`FrameMeta::source`](vas_frame::FrameMeta::source), since an export may be
    /// scaled down. An unspecified range is limited.
    ///
    /// ```
    /// use vas_frame::Color;
    /// use vas_tensor::{ColorSpace, Matrix};
    ///
    /// let unspecified = Color { matrix: 2, ..Color::default() };
    /// let space = ColorSpace::of(unspecified, 1080);
    /// assert_eq!(space, ColorSpace { matrix: Matrix::Bt709, full_range: false });
    /// ```
    #[must_use]
    pub fn of(color: Color, height: u32) -> Self {
        Self { matrix: Matrix::of(color.matrix, height), full_range: color.range == Range::Full }
    }
}

/// The factors of this module's equations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Factors {
    /// `L`, with 14 bits after the binary point.
    pub(crate) luma: i16,
    /// `black`, with 6.
    pub(crate) black: i16,
    /// `RV`, with 13, as those below.
    pub(crate) v_to_red: i16,
    pub(crate) u_to_green: i16,
    pub(crate) v_to_green: i16,
    pub(crate) u_to_blue: i16,
}

impl Factors {
    pub(crate) fn of(space: ColorSpace) -> Self {
        let (black, luma_span, chroma_span) =
            if space.full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        let (red, blue) = space.matrix.weights();
        let green = 1.0 - red - blue;
        // The largest is BT.2020's blue: 2.142 * 2^13 = 17546.
        let fixed = |factor: f64, bits: u32| (factor * f64::from(1 << bits)).round() as i16;
        let chroma = 255.0 / chroma_span;
        Self {
            luma: fixed(255.0 / luma_span, 14),
            black: fixed(black * 255.0 / luma_span, 6),
            v_to_red: fixed(chroma * 2.0 * (1.0 - red), 13),
            u_to_green: fixed(-chroma * 2.0 * blue * (1.0 - blue) / green, 13),
            v_to_green: fixed(-chroma * 2.0 * red * (1.0 - red) / green, 13),
            u_to_blue: fixed(chroma * 2.0 * (1.0 - blue), 13),
        }
    }
}
