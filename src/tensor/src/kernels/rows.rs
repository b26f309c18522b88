//! The steps in vectors, for any [`Lanes`].
//!
//! House rules. Each function is inlined into one that has the features of its lanes, which is what its caller
//! guarantees. Pointers come from slices whose lengths are asserted at the top. A block that would end past a row is
//! moved back to end with it, and what it has in common with the block before is computed twice; a row that is shorter
//! than a block is left to [`Scalar`]. No closure with vectors is given to functions of the standard library: they
//! would not be inlined, since those lack the features.

use super::lanes::Lanes;
use super::scalar::{Scalar, WHITE};
use super::{Kernels, LevelsMut, TapRow};
use crate::color::Factors;
use crate::request::Line;
use crate::taps::{Columns, Windows};

/// Calls `$step` with the first column of each block of `$block` columns, the last one moved back.
macro_rules! each_block {
    ($len:expr, $block:expr, |$at:ident| $step:expr) => {{
        let (len, block) = ($len, $block);
        let mut next = 0;
        while next + block <= len {
            let $at = next;
            $step;
            next += block;
        }
        if next < len {
            let $at = len - block;
            $step;
        }
    }};
}

/// Levels from 0 to 255.
#[inline(always)]
unsafe fn clamp<L: Lanes>(words: L::Words) -> L::Words {
    // SAFETY: guaranteed by the caller.
    unsafe { L::min(L::max(words, L::splat(0)), L::splat(WHITE)) }
}

/// The factors of colors in vectors.
struct Splat<L: Lanes> {
    luma: L::Words,
    black: L::Words,
    v_to_red: L::Words,
    u_to_green: L::Words,
    v_to_green: L::Words,
    u_to_blue: L::Words,
}

impl<L: Lanes> Splat<L> {
    #[inline(always)]
    unsafe fn new(factors: &Factors) -> Self {
        // SAFETY: guaranteed by the caller.
        unsafe {
            Self {
                luma: L::splat(factors.luma),
                black: L::splat(factors.black),
                v_to_red: L::splat(factors.v_to_red),
                u_to_green: L::splat(factors.u_to_green),
                v_to_green: L::splat(factors.v_to_green),
                u_to_blue: L::splat(factors.u_to_blue),
            }
        }
    }

    #[inline(always)]
    unsafe fn gray(&self, luma: L::Words) -> L::Words {
        // SAFETY: guaranteed by the caller.
        unsafe { L::sub(L::product(luma, self.luma), self.black) }
    }

    /// What chroma adds to red, green and blue.
    #[inline(always)]
    unsafe fn chroma(&self, u: L::Words, v: L::Words) -> [L::Words; 3] {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let green = L::add(L::product(u, self.u_to_green), L::product(v, self.v_to_green));
            [L::product(v, self.v_to_red), green, L::product(u, self.u_to_blue)]
        }
    }
}

/// `upper + m(lower - upper, weight)`.
#[inline(always)]
unsafe fn between_rows<L: Lanes>(upper: L::Words, lower: L::Words, weight: L::Words) -> L::Words {
    // SAFETY: guaranteed by the caller.
    unsafe { L::add(upper, L::product(L::sub(lower, upper), weight)) }
}

/// The luma of the pixels of the windows from `group` on, 7 bits up.
///
/// # Safety
/// The processor has the features; the group's windows lie in the row.
#[inline(always)]
unsafe fn luma_of<L: Lanes>(row: *const u8, windows: &Windows, group: usize) -> L::Words {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let order = L::load_order(windows.order.as_ptr().add(group));
        L::half(L::shuffle(L::windows(row, windows.begin.as_ptr().add(group)), order))
    }
}

#[inline(always)]
pub(super) unsafe fn gray_levels<L: Lanes>(
    factors: &Factors,
    upper: &[u8],
    lower: Option<(&[u8], i16)>,
    columns: &Columns,
    to: &mut [i16],
) {
    let windows = &columns.luma;
    assert!(to.len() == columns.padded() && upper.len() >= windows.reach);
    assert!(lower.is_none_or(|(lower, _)| lower.len() >= windows.reach));
    let to = to.as_mut_ptr();
    // SAFETY: tables and levels have `padded` columns, which are whole blocks; the windows lie within their reach, and
    // so within the rows. The caller guarantees the features.
    unsafe {
        let splat = Splat::<L>::new(factors);
        let weight = L::splat(lower.map_or(0, |(_, weight)| weight));
        for at in (0..columns.padded()).step_by(L::LEN) {
            let mut pairs = [L::splat(0); 2];
            for (part, pairs) in pairs.iter_mut().enumerate() {
                let group = at / 4 + part * (L::LEN / 8);
                let gray = splat.gray(luma_of::<L>(upper.as_ptr(), windows, group));
                *pairs = clamp::<L>(gray);
                if let Some((lower, _)) = lower {
                    let gray = splat.gray(luma_of::<L>(lower.as_ptr(), windows, group));
                    *pairs = between_rows::<L>(*pairs, clamp::<L>(gray), weight);
                }
            }
            L::store(L::between(pairs, columns.weights.as_ptr().add(at)), to.add(at));
        }
    }
}

#[inline(always)]
pub(super) unsafe fn color_levels<L: Lanes>(
    factors: &Factors,
    upper: TapRow<'_>,
    lower: Option<(TapRow<'_>, i16)>,
    columns: &Columns,
    to: LevelsMut<'_>,
) {
    let len = columns.padded();
    assert!([to.red.len(), to.green.len(), to.blue.len()] == [len; 3]);
    let reaches = |row: TapRow<'_>| {
        row.luma.len() >= columns.luma.reach && row.chroma.len() >= columns.chroma.reach
    };
    assert!(reaches(upper) && lower.is_none_or(|(lower, _)| reaches(lower)));
    let to = [to.red.as_mut_ptr(), to.green.as_mut_ptr(), to.blue.as_mut_ptr()];
    // SAFETY: tables and levels have `padded` columns, which are whole blocks; the windows lie within their reach, and
    // so within the rows. The caller guarantees the features.
    unsafe {
        let splat = Splat::<L>::new(factors);
        let weight = L::splat(lower.map_or(0, |(_, weight)| weight));
        for at in (0..len).step_by(L::LEN) {
            // Of the first and the second half of the block.
            let mut halves = [[L::splat(0); 3]; 2];
            for (part, half) in halves.iter_mut().enumerate() {
                let group = at / 4 + part * (L::LEN / 8);
                let begin = columns.chroma.begin.as_ptr().add(group);
                let of_u = L::load_order(columns.chroma.order.as_ptr().add(group));
                let of_v = L::next_bytes(of_u);
                let chroma = chroma_of(&splat, upper.chroma.as_ptr(), begin, [of_u, of_v]);
                let luma = splat.gray(luma_of::<L>(upper.luma.as_ptr(), &columns.luma, group));
                let mut colors = add_chroma::<L>(luma, chroma);
                if let Some((lower, _)) = lower {
                    let chroma = if lower.chroma.as_ptr() == upper.chroma.as_ptr() {
                        chroma
                    } else {
                        chroma_of(&splat, lower.chroma.as_ptr(), begin, [of_u, of_v])
                    };
                    let luma = splat.gray(luma_of::<L>(lower.luma.as_ptr(), &columns.luma, group));
                    let below = add_chroma::<L>(luma, chroma);
                    for channel in 0..3 {
                        colors[channel] =
                            between_rows::<L>(colors[channel], below[channel], weight);
                    }
                }
                *half = colors;
            }
            let weights = columns.weights.as_ptr().add(at);
            for channel in 0..3 {
                let pairs = [halves[0][channel], halves[1][channel]];
                L::store(L::between(pairs, weights), to[channel].add(at));
            }
        }
    }
}

/// What the chroma of windows adds to red, green and blue.
///
/// # Safety
/// The processor has the features; the windows lie in the row.
#[inline(always)]
unsafe fn chroma_of<L: Lanes>(
    splat: &Splat<L>,
    row: *const u8,
    begin: *const u32,
    [of_u, of_v]: [L::Bytes; 2],
) -> [L::Words; 3] {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let windows = L::windows(row, begin);
        splat.chroma(L::center(L::shuffle(windows, of_u)), L::center(L::shuffle(windows, of_v)))
    }
}

/// Red, green and blue, from 0 to 255.
#[inline(always)]
unsafe fn add_chroma<L: Lanes>(luma: L::Words, [red, green, blue]: [L::Words; 3]) -> [L::Words; 3] {
    // SAFETY: guaranteed by the caller.
    unsafe {
        [
            clamp::<L>(L::add_saturating(luma, red)),
            clamp::<L>(L::add_saturating(luma, green)),
            clamp::<L>(L::add_saturating(luma, blue)),
        ]
    }
}

/// Two vectors of levels from `from` on, as bytes.
#[inline(always)]
unsafe fn load_rounded<L: Lanes>(from: *const i16) -> L::Bytes {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let half = L::splat(32);
        L::narrow(L::add(L::load(from), half), L::add(L::load(from.add(L::LEN)), half))
    }
}

#[inline(always)]
pub(super) unsafe fn bytes<L: Lanes>(levels: &[i16], to: &mut [u8]) {
    let len = to.len();
    if len < 2 * L::LEN {
        return Scalar.bytes(levels, to);
    }
    assert_eq!(levels.len(), len);
    let to = to.as_mut_ptr();
    // SAFETY: blocks lie within `len` elements of each slice; the caller guarantees the features.
    unsafe {
        each_block!(len, 2 * L::LEN, |at| {
            L::store_bytes(load_rounded::<L>(levels.as_ptr().add(at)), to.add(at));
        });
    }
}

#[inline(always)]
pub(super) unsafe fn packed_bytes<L: Lanes>(levels: [&[i16]; 3], to: &mut [u8]) {
    let len = levels[0].len();
    if len < 2 * L::LEN {
        return Scalar.packed_bytes(levels, to);
    }
    assert!(levels[1].len() == len && levels[2].len() == len && to.len() == 3 * len);
    let [first, second, third] = levels;
    let to = to.as_mut_ptr();
    // SAFETY: blocks lie within `len` elements of each row, and within three times as many bytes.
    unsafe {
        each_block!(len, 2 * L::LEN, |at| {
            let bytes = [
                load_rounded::<L>(first.as_ptr().add(at)),
                load_rounded::<L>(second.as_ptr().add(at)),
                load_rounded::<L>(third.as_ptr().add(at)),
            ];
            L::store_packed(bytes, to.add(3 * at));
        });
    }
}

#[inline(always)]
pub(super) unsafe fn convert_gray<L: Lanes>(factors: &Factors, luma: &[u8], to: &mut [u8]) {
    let len = to.len();
    if len < 2 * L::LEN {
        return Scalar.convert_gray(factors, luma, to);
    }
    assert_eq!(luma.len(), len);
    let to = to.as_mut_ptr();
    // SAFETY: blocks lie within `len` elements of each slice; the caller guarantees the features.
    unsafe {
        // Half a level is added with the black that is subtracted.
        let (factor, black) = (L::splat(factors.luma), L::splat(factors.black - 32));
        each_block!(len, 2 * L::LEN, |at| {
            let [low, high] = L::load_luma(luma.as_ptr().add(at));
            let low = L::sub(L::product(low, factor), black);
            let high = L::sub(L::product(high, factor), black);
            L::store_bytes(L::narrow_twice([low, high]), to.add(at));
        });
    }
}

/// The pixels of one row from luma and what chroma adds to their channels.
#[inline(always)]
unsafe fn convert_block<const BGR: bool, L: Lanes>(
    factors: &Splat<L>,
    luma: *const u8,
    chroma: &[[L::Words; 2]; 3],
    to: *mut u8,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let [low, high] = L::load_luma(luma);
        let (low, high) = (factors.gray(low), factors.gray(high));
        let [red, green, blue] = chroma;
        let red = [L::add_saturating(low, red[0]), L::add_saturating(high, red[1])];
        let green = [L::add_saturating(low, green[0]), L::add_saturating(high, green[1])];
        let blue = [L::add_saturating(low, blue[0]), L::add_saturating(high, blue[1])];
        let (red, green, blue) =
            (L::narrow_twice(red), L::narrow_twice(green), L::narrow_twice(blue));
        L::store_packed(if BGR { [blue, green, red] } else { [red, green, blue] }, to);
    }
}

#[inline(always)]
pub(super) unsafe fn convert_rows<const BGR: bool, L: Lanes>(
    factors: &Factors,
    luma: [&[u8]; 2],
    chroma: &[u8],
    to: [&mut [u8]; 2],
) {
    let block = 2 * L::LEN;
    let width = luma[0].len();
    // Blocks begin at even columns, so an odd last one is left over.
    let (even, is_single) = (width & !1, luma[1].is_empty());
    if even < block {
        return Scalar.convert_rows::<BGR>(factors, luma, chroma, to);
    }
    let [upper, lower] = to;
    assert!(chroma.len() >= width.next_multiple_of(2) && upper.len() == 3 * width);
    assert!(is_single || (luma[1].len() == width && lower.len() == 3 * width));
    // SAFETY: blocks lie within `even` columns of each row; the caller guarantees the features. A lower row is touched
    // only where there is one.
    unsafe {
        let splat = Splat::<L> { black: L::splat(factors.black - 32), ..Splat::new(factors) };
        let (upper, lower) = (upper.as_mut_ptr(), lower.as_mut_ptr());
        each_block!(even, block, |at| {
            let [u, v] = L::load_chroma(chroma.as_ptr().add(at));
            let [red, green, blue] = splat.chroma(u, v);
            let chroma = [L::twice(red), L::twice(green), L::twice(blue)];
            convert_block::<BGR, L>(&splat, luma[0].as_ptr().add(at), &chroma, upper.add(3 * at));
            if !is_single {
                let luma = luma[1].as_ptr().add(at);
                convert_block::<BGR, L>(&splat, luma, &chroma, lower.add(3 * at));
            }
        });
    }
    if even < width {
        let rest = if is_single { &[] } else { &luma[1][even..] };
        let lower = if is_single { lower } else { &mut lower[3 * even..] };
        let to = [&mut upper[3 * even..], lower];
        Scalar.convert_rows::<BGR>(factors, [&luma[0][even..], rest], &chroma[even..], to);
    }
}

#[inline(always)]
pub(super) unsafe fn floats<L: Lanes>(levels: &[i16], line: Line, to: &mut [f32]) {
    // The compiler makes vectors of it.
    Scalar.floats(levels, line, to);
}

#[inline(always)]
pub(super) unsafe fn packed_floats<L: Lanes>(
    levels: [&[i16]; 3],
    lines: [Line; 3],
    to: &mut [f32],
) {
    Scalar.packed_floats(levels, lines, to);
}
