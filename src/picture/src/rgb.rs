//! NV12 to RGB, for viewing. Frames are exported as the camera coded them; this is the only place
//! in the service where color is interpreted.
//!
//! Rejected: the crate `yuv` (0.8.20). It stays within one level of this code for BT.601, BT.709,
//! BT.2020 and FCC, but its factors for SMPTE 240M are off by up to 73 levels; it reports success and
//! leaves the last two rows unwritten where the last row of luma ends without padding; and it takes
//! two minutes of processor time to build, for two commands that write one picture.

/// An NV12 picture and the meaning of its samples.
#[derive(Debug, Clone, Copy)]
pub struct Nv12<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Rows of `width` bytes, [`luma_stride`](Self::luma_stride) apart.
    pub luma: &'a [u8],
    /// Bytes from one row of luma to the next.
    pub luma_stride: usize,
    /// U and V alternating: rows of the width rounded up to even, without padding.
    pub chroma: &'a [u8],
    /// `MatrixCoefficients` (H.273 table 4).
    pub matrix: u8,
    /// Range of the samples.
    pub range: SampleRange,
}

/// What the least and greatest sample represent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleRange {
    /// Luma 16 to 235, chroma 16 to 240.
    Limited,
    /// 0 to 255.
    Full,
}

/// Weights of red and blue in luma; green has the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LumaWeights {
    red: f64,
    blue: f64,
}

impl LumaWeights {
    const BT_601: Self = Self { red: 0.299, blue: 0.114 };
    const BT_709: Self = Self { red: 0.2126, blue: 0.0722 };
    const BT_2020: Self = Self { red: 0.2627, blue: 0.0593 };
    const FCC: Self = Self { red: 0.30, blue: 0.11 };
    const SMPTE_240M: Self = Self { red: 0.212, blue: 0.087 };

    /// The weights for a code of H.273 table 4.
    ///
    /// A code that states nothing, or nothing that 4:2:0 can be (0 is RGB itself, which some
    /// cameras state wrongly), is guessed from the height as Chromium does
    /// (`media/ffmpeg/ffmpeg_common.cc`): BT.601 below 720 rows, BT.709 from there on.
    fn of(matrix: u8, height: u32) -> Self {
        match matrix {
            1 => Self::BT_709,
            4 => Self::FCC,
            5 | 6 => Self::BT_601,
            7 => Self::SMPTE_240M,
            9 | 10 => Self::BT_2020,
            _ if height < 720 => Self::BT_601,
            _ => Self::BT_709,
        }
    }
}

/// Bits after the binary point of [`Conversion`]'s factors.
const FRACTION_BITS: u32 = 16;

/// Factors from samples to RGB, in fixed point.
#[derive(Debug, Clone, Copy)]
struct Conversion {
    black: i32,
    luma: i32,
    v_to_red: i32,
    u_to_green: i32,
    v_to_green: i32,
    u_to_blue: i32,
}

impl Conversion {
    /// Inverts the equations of ITU-R BT.601 (2.5), which BT.709 and BT.2020 share except for their
    /// weights.
    fn new(weights: LumaWeights, range: SampleRange) -> Self {
        let (black, luma_span, chroma_span) = match range {
            SampleRange::Limited => (16, 219.0, 224.0),
            SampleRange::Full => (0, 255.0, 255.0),
        };
        let LumaWeights { red, blue } = weights;
        let green = 1.0 - red - blue;
        let fixed = |factor: f64| (factor * f64::from(1 << FRACTION_BITS)).round() as i32;
        let chroma = 255.0 / chroma_span;
        Self {
            black,
            luma: fixed(255.0 / luma_span),
            v_to_red: fixed(chroma * 2.0 * (1.0 - red)),
            u_to_green: fixed(-chroma * 2.0 * blue * (1.0 - blue) / green),
            v_to_green: fixed(-chroma * 2.0 * red * (1.0 - red) / green),
            u_to_blue: fixed(chroma * 2.0 * (1.0 - blue)),
        }
    }

    fn rgb(&self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let y = (i32::from(y) - self.black) * self.luma;
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let half = 1 << (FRACTION_BITS - 1);
        let byte = |sum: i32| ((sum + half) >> FRACTION_BITS).clamp(0, 255) as u8;
        [
            byte(y + self.v_to_red * v),
            byte(y + self.u_to_green * u + self.v_to_green * v),
            byte(y + self.u_to_blue * u),
        ]
    }
}

impl<'a> Nv12<'a> {
    /// Passes the picture to `take` row by row, each three bytes a pixel: red, green, blue.
    ///
    /// Each chroma sample colors its two by two pixels: good enough for viewing, and no pixel takes
    /// color from outside its block.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn try_for_each_rgb_row<E>(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let conversion = Conversion::new(LumaWeights::of(self.matrix, self.height), self.range);
        let mut row = Vec::with_capacity(self.width as usize * 3);
        for (luma, chroma) in self.rows() {
            row.clear();
            for (pair, uv) in luma.chunks(2).zip(chroma.chunks_exact(2)) {
                for &y in pair {
                    row.extend_from_slice(&conversion.rgb(y, uv[0], uv[1]));
                }
            }
            take(&row)?;
        }
        Ok(())
    }

    /// Rows of luma, each with its row of chroma.
    fn rows(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let width = self.width as usize;
        let luma =
            self.luma.chunks(self.luma_stride.max(1)).filter_map(move |row| row.get(..width));
        let chroma = self.chroma.chunks_exact(width.next_multiple_of(2).max(1));
        luma.zip(chroma.flat_map(|row| [row, row]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const BT_709: u8 = 1;
    const UNSPECIFIED: u8 = 2;
    const BT_601: u8 = 6;
    const BT_2020: u8 = 9;

    fn pixel(matrix: u8, range: SampleRange, [y, u, v]: [u8; 3]) -> [u8; 3] {
        Conversion::new(LumaWeights::of(matrix, 1080), range).rgb(y, u, v)
    }

    fn assert_near(found: [u8; 3], expected: [u8; 3]) {
        let near = found.iter().zip(expected).all(|(f, e)| f.abs_diff(e) <= 2);
        assert!(near, "{found:?} is not near {expected:?}");
    }

    #[test]
    fn gray_is_exact() {
        for matrix in [BT_601, BT_709, BT_2020] {
            assert_eq!(pixel(matrix, SampleRange::Limited, [16, 128, 128]), [0; 3]);
            assert_eq!(pixel(matrix, SampleRange::Limited, [235, 128, 128]), [255; 3]);
            assert_eq!(pixel(matrix, SampleRange::Full, [0, 128, 128]), [0; 3]);
            assert_eq!(pixel(matrix, SampleRange::Full, [255, 128, 128]), [255; 3]);
            assert_eq!(pixel(matrix, SampleRange::Full, [77, 128, 128]), [77; 3]);
        }
    }

    /// The 100 % color bars as the recommendations' equations quantize them to 8 bits.
    #[test]
    fn limited_primaries() {
        for (matrix, red, green, blue) in [
            (BT_601, [81, 90, 240], [145, 54, 34], [41, 240, 110]),
            (BT_709, [63, 102, 240], [173, 42, 26], [32, 240, 118]),
            (BT_2020, [74, 97, 240], [164, 47, 25], [29, 240, 119]),
        ] {
            assert_near(pixel(matrix, SampleRange::Limited, red), [255, 0, 0]);
            assert_near(pixel(matrix, SampleRange::Limited, green), [0, 255, 0]);
            assert_near(pixel(matrix, SampleRange::Limited, blue), [0, 0, 255]);
        }
    }

    /// JFIF's colors: BT.601 in full range.
    #[test]
    fn full_primaries() {
        assert_near(pixel(BT_601, SampleRange::Full, [76, 85, 255]), [255, 0, 0]);
        assert_near(pixel(BT_601, SampleRange::Full, [150, 44, 21]), [0, 255, 0]);
        assert_near(pixel(BT_601, SampleRange::Full, [29, 255, 107]), [0, 0, 255]);
    }

    #[test]
    fn out_of_range_samples_are_clamped() {
        assert_eq!(pixel(BT_709, SampleRange::Limited, [255, 128, 128]), [255; 3]);
        assert_eq!(pixel(BT_709, SampleRange::Limited, [0, 128, 128]), [0; 3]);
        assert_eq!(pixel(BT_709, SampleRange::Limited, [255, 255, 255]), [255, 184, 255]);
    }

    #[test]
    fn an_unspecified_matrix_is_chosen_by_height() {
        for said_nothing in [0, UNSPECIFIED, 8, 255] {
            assert_eq!(LumaWeights::of(said_nothing, 719), LumaWeights::BT_601);
            assert_eq!(LumaWeights::of(said_nothing, 720), LumaWeights::BT_709);
        }
        assert_eq!(LumaWeights::of(BT_709, 100), LumaWeights::BT_709);
    }

    #[test]
    fn odd_sizes_keep_their_last_row_and_column() {
        let picture = Nv12 {
            width: 3,
            height: 3,
            luma: &[10, 20, 30, 0, 40, 50, 60, 0, 70, 80, 90],
            luma_stride: 4,
            chroma: &[128; 8],
            matrix: BT_601,
            range: SampleRange::Full,
        };
        let mut rows = Vec::new();
        picture
            .try_for_each_rgb_row(|row| {
                rows.push(row.iter().step_by(3).copied().collect::<Vec<_>>());
                Ok::<_, Infallible>(())
            })
            .unwrap();
        assert_eq!(rows, [[10, 20, 30], [40, 50, 60], [70, 80, 90]]);
    }

    #[test]
    fn each_block_has_its_own_color() {
        let red_then_blue = [90, 240, 240, 110];
        let picture = Nv12 {
            width: 4,
            height: 1,
            luma: &[81, 81, 41, 41],
            luma_stride: 4,
            chroma: &red_then_blue,
            matrix: BT_601,
            range: SampleRange::Limited,
        };
        picture
            .try_for_each_rgb_row(|row| {
                for (rgb, expected) in row.chunks(3).zip([0, 0, 2, 2]) {
                    let brightest = (0..3).max_by_key(|&i| rgb[i]).unwrap();
                    assert_eq!(brightest, expected, "{row:?}");
                }
                Ok::<_, Infallible>(())
            })
            .unwrap();
    }
}
