//! The steps in plain loops: the reference of the others, and their code for what is left of a row.

use super::{Kernels, LevelsMut, TapRow};
use crate::color::Factors;
use crate::request::Line;
use crate::taps::{COLUMN_BITS, Columns, Taps};

/// Plain loops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

/// The largest level.
pub(super) const WHITE: i16 = 255 << 6;

/// The product of [`crate::color`].
#[inline(always)]
fn product(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b) + (1 << 14)) >> 15) as i16
}

#[inline(always)]
fn gray(factors: &Factors, luma: i16) -> i16 {
    product(luma, factors.luma) - factors.black
}

#[inline(always)]
fn color(factors: &Factors, luma: i16, u: i16, v: i16) -> [i16; 3] {
    let luma = gray(factors, luma);
    let green = product(u, factors.u_to_green) + product(v, factors.v_to_green);
    [product(v, factors.v_to_red), green, product(u, factors.u_to_blue)]
        .map(|chroma| luma.saturating_add(chroma).clamp(0, WHITE))
}

#[inline(always)]
fn byte(level: i16) -> u8 {
    ((level + 32) >> 6) as u8
}

/// A level between those of two rows' pixels and two columns.
#[inline(always)]
fn between(upper: [i16; 2], lower: Option<([i16; 2], i16)>, weights: [i16; 2]) -> i16 {
    let [left, right] = match lower {
        None => upper,
        Some((lower, weight)) => {
            [0, 1].map(|at| upper[at] + product(lower[at] - upper[at], weight))
        }
    };
    let sum = i32::from(left) * i32::from(weights[0]) + i32::from(right) * i32::from(weights[1]);
    ((sum + (1 << (COLUMN_BITS - 1))) >> COLUMN_BITS) as i16
}

#[inline(always)]
fn gray_of(factors: &Factors, sample: u8) -> i16 {
    gray(factors, i16::from(sample) << 7).clamp(0, WHITE)
}

/// The colors of the two pixels of a row.
#[inline(always)]
fn colors_of(factors: &Factors, row: TapRow<'_>, taps: &Taps) -> [[i16; 3]; 2] {
    [0, 1].map(|at| {
        let (luma, chroma) = (row.luma[taps.luma()[at]], taps.chroma()[at]);
        let [u, v] = [row.chroma[chroma], row.chroma[chroma + 1]].map(centered);
        color(factors, i16::from(luma) << 7, u, v)
    })
}

/// Chroma less 128, 8 bits up.
#[inline(always)]
fn centered(sample: u8) -> i16 {
    (i16::from(sample) - 128) << 8
}

impl Kernels for Scalar {
    fn gray_levels(
        self,
        factors: &Factors,
        upper: &[u8],
        lower: Option<(&[u8], i16)>,
        columns: &Columns,
        to: &mut [i16],
    ) {
        assert_eq!(to.len(), columns.padded());
        let all = columns.taps.iter().zip(&columns.weights);
        for (to, (taps, weights)) in to.iter_mut().zip(all) {
            let of = |row: &[u8]| taps.luma().map(|tap| gray_of(factors, row[tap]));
            let lower = lower.map(|(row, weight)| (of(row), weight));
            *to = between(of(upper), lower, *weights);
        }
    }

    fn color_levels(
        self,
        factors: &Factors,
        upper: TapRow<'_>,
        lower: Option<(TapRow<'_>, i16)>,
        columns: &Columns,
        to: LevelsMut<'_>,
    ) {
        let to = [to.red, to.green, to.blue];
        assert!(to.iter().all(|row| row.len() == columns.padded()));
        let all = columns.taps.iter().zip(&columns.weights).enumerate();
        for (at, (taps, weights)) in all {
            let [left, right] = colors_of(factors, upper, taps);
            let below = lower.map(|(row, weight)| (colors_of(factors, row, taps), weight));
            for channel in 0..3 {
                let below =
                    below.map(|([left, right], weight)| ([left[channel], right[channel]], weight));
                to[channel][at] = between([left[channel], right[channel]], below, *weights);
            }
        }
    }

    #[inline(always)]
    fn bytes(self, levels: &[i16], to: &mut [u8]) {
        assert_eq!(levels.len(), to.len());
        for (to, level) in to.iter_mut().zip(levels) {
            *to = byte(*level);
        }
    }

    #[inline(always)]
    fn packed_bytes(self, levels: [&[i16]; 3], to: &mut [u8]) {
        let len = levels[0].len();
        assert!(levels[1].len() == len && levels[2].len() == len && to.len() == 3 * len);
        for (at, to) in to.chunks_exact_mut(3).enumerate() {
            to.copy_from_slice(&levels.map(|levels| byte(levels[at])));
        }
    }

    #[inline(always)]
    fn floats(self, levels: &[i16], line: Line, to: &mut [f32]) {
        assert_eq!(levels.len(), to.len());
        for (to, level) in to.iter_mut().zip(levels) {
            *to = line.at(*level);
        }
    }

    #[inline(always)]
    fn packed_floats(self, levels: [&[i16]; 3], lines: [Line; 3], to: &mut [f32]) {
        let len = levels[0].len();
        assert!(levels[1].len() == len && levels[2].len() == len && to.len() == 3 * len);
        for (at, to) in to.chunks_exact_mut(3).enumerate() {
            for channel in 0..3 {
                to[channel] = lines[channel].at(levels[channel][at]);
            }
        }
    }

    #[inline(always)]
    fn convert_gray(self, factors: &Factors, luma: &[u8], to: &mut [u8]) {
        assert_eq!(luma.len(), to.len());
        for (to, luma) in to.iter_mut().zip(luma) {
            *to = byte(gray(factors, i16::from(*luma) << 7).clamp(0, WHITE));
        }
    }

    #[inline(always)]
    fn convert_rows<const BGR: bool>(
        self,
        factors: &Factors,
        luma: [&[u8]; 2],
        chroma: &[u8],
        to: [&mut [u8]; 2],
    ) {
        for (luma, to) in luma.into_iter().zip(to) {
            assert!(chroma.len() >= luma.len().next_multiple_of(2) && to.len() == 3 * luma.len());
            let pixels = luma.chunks(2).zip(to.chunks_mut(6)).zip(chroma.chunks_exact(2));
            for ((luma, to), uv) in pixels {
                let [u, v] = [uv[0], uv[1]].map(centered);
                for (luma, to) in luma.iter().zip(to.chunks_exact_mut(3)) {
                    let mut bytes = color(factors, i16::from(*luma) << 7, u, v).map(byte);
                    if BGR {
                        bytes.reverse();
                    }
                    to.copy_from_slice(&bytes);
                }
            }
        }
    }
}
