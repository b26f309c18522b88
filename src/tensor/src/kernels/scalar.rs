//! The steps in plain loops: the reference of the others, and their code for what is left of a row.

use super::{Kernels, LevelsMut};
use crate::color::Factors;
use crate::request::Line;
use crate::taps::{COLUMN_BITS, Columns};

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

#[inline(always)]
fn pair<const BITS: u32>(row: &[i16], [first, second]: [usize; 2], weights: [i16; 2]) -> i16 {
    let sum = i32::from(row[first]) * i32::from(weights[0])
        + i32::from(row[second]) * i32::from(weights[1]);
    ((sum + (1 << (BITS - 1))) >> BITS) as i16
}

impl Kernels for Scalar {
    #[inline(always)]
    fn between_rows(self, first: &[u8], second: Option<(&[u8], i16)>, less: i16, to: &mut [i16]) {
        match second {
            None => {
                assert_eq!(first.len(), to.len());
                for (to, first) in to.iter_mut().zip(first) {
                    *to = (i16::from(*first) << 7) - less;
                }
            }
            Some((second, weight)) => {
                assert!(first.len() == to.len() && second.len() == to.len());
                for ((to, first), second) in to.iter_mut().zip(first).zip(second) {
                    let (first, second) = (i16::from(*first), i16::from(*second));
                    *to = (first << 7) + product((second - first) << 7, weight) - less;
                }
            }
        }
    }

    #[inline(always)]
    fn luma_columns(self, row: &[i16], columns: &Columns, to: &mut [i16]) {
        assert_eq!(columns.len(), to.len());
        for ((to, first), weights) in to.iter_mut().zip(&columns.first).zip(&columns.weights) {
            let first = *first as usize;
            *to = pair::<COLUMN_BITS>(row, [first, first + 1], *weights);
        }
    }

    #[inline(always)]
    fn chroma_columns(self, row: &[i16], columns: &Columns, u: &mut [i16], v: &mut [i16]) {
        assert!(columns.len() == u.len() && u.len() == v.len());
        let taps = columns.first.iter().zip(&columns.weights);
        for ((u, v), (first, weights)) in u.iter_mut().zip(v).zip(taps) {
            let first = 2 * *first as usize;
            *u = pair::<{ COLUMN_BITS - 1 }>(row, [first, first + 2], *weights);
            *v = pair::<{ COLUMN_BITS - 1 }>(row, [first + 1, first + 3], *weights);
        }
    }

    #[inline(always)]
    fn gray_levels(self, factors: &Factors, luma: &[i16], to: &mut [i16]) {
        assert_eq!(luma.len(), to.len());
        for (to, luma) in to.iter_mut().zip(luma) {
            *to = gray(factors, *luma).clamp(0, WHITE);
        }
    }

    #[inline(always)]
    fn color_levels(
        self,
        factors: &Factors,
        luma: &[i16],
        u: &[i16],
        v: &[i16],
        to: LevelsMut<'_>,
    ) {
        let LevelsMut { red, green, blue } = to;
        let len = luma.len();
        assert!([u.len(), v.len(), red.len(), green.len(), blue.len()] == [len; 5]);
        for at in 0..len {
            [red[at], green[at], blue[at]] = color(factors, luma[at], u[at], v[at]);
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
                let [u, v] = [uv[0], uv[1]].map(|sample| (i16::from(sample) - 128) << 8);
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
