//! The steps with NEON.
//!
//! House rules as for AVX2: a [`Neon`] exists only if the processor has NEON, lengths are asserted at the top of each
//! function, and a block that would end past a row is moved back.

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::scalar::Scalar;
use super::{Kernels, ROUND, RowsOf, SHIFT, Sums};
use crate::source::Depth;
use crate::tables::{Columns, Eights, Lines, Pairs, RowWindow};

/// Proof that the processor has NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

/// Columns of a block.
const BLOCK: usize = 16;

const EIGHT: u8 = 0;
const LOW_TEN: u8 = 1;
const HIGH: u8 = 2;

impl Neon {
    pub(super) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

impl Kernels for Neon {
    fn sum_rows(self, rows: &RowsOf<'_>, window: &RowWindow<'_>, sums: Sums<'_>) {
        if rows.columns < BLOCK {
            return Scalar.sum_rows(rows, window, sums);
        }
        // SAFETY: the processor has NEON (`Neon` proves it).
        unsafe {
            match rows.depth {
                Depth::Eight => sum_rows::<EIGHT>(rows, window, sums),
                Depth::LowTen => sum_rows::<LOW_TEN>(rows, window, sums),
                Depth::High => sum_rows::<HIGH>(rows, window, sums),
            }
        }
    }

    fn sum_columns(self, sums: &[i16], columns: &Columns, to: &mut [u8]) {
        assert!(sums.len() >= columns.reach(), "all sums are there");
        let to = &mut to[..columns.outputs()];
        // SAFETY: the processor has NEON (`Neon` proves it), and `sums` reaches as far as the tables say.
        unsafe {
            match &columns.lines {
                Lines::Pairs(pairs) => sum_pairs(sums, pairs, to),
                Lines::Eights(eights) => sum_eights(sums, eights, to),
            }
        }
    }
}

/// Loads 16 samples.
///
/// # Safety
/// `from` points to 16 readable samples.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load<const DEPTH: u8>(from: *const u8) -> uint8x16_t {
    // SAFETY: guaranteed by the caller; the words are read as bytes, so they may lie at any address.
    unsafe {
        if DEPTH == EIGHT {
            return vld1q_u8(from);
        }
        let low = vreinterpretq_u16_u8(vld1q_u8(from));
        let high = vreinterpretq_u16_u8(vld1q_u8(from.add(16)));
        let narrow = |words| {
            // Saturating addition keeps a word out of range at the top; narrowing saturates at 255.
            if DEPTH == LOW_TEN {
                vqshrn_n_u16::<2>(vqaddq_u16(words, vdupq_n_u16(2)))
            } else {
                vqshrn_n_u16::<8>(vqaddq_u16(words, vdupq_n_u16(128)))
            }
        };
        vcombine_u8(narrow(low), narrow(high))
    }
}

#[target_feature(enable = "neon")]
fn sum_rows<const DEPTH: u8>(rows: &RowsOf<'_>, window: &RowWindow<'_>, sums: Sums<'_>) {
    let (columns, stride) = (rows.columns, rows.plane.stride);
    let sample_bytes = if DEPTH == EIGHT { 1 } else { 2 };
    assert!(columns >= BLOCK);
    let from = rows.start(window);
    sums.check(columns);
    let mut sums = sums;
    let mut column = 0;
    while column < columns {
        let at = column.min(columns - BLOCK);
        column += BLOCK;
        let (mut low, mut high) = (vdupq_n_u16(0), vdupq_n_u16(0));
        let mut row = from.wrapping_add(at * sample_bytes);
        for (index, pair) in window.pairs.iter().enumerate() {
            let [first, second] = pair.to_le_bytes();
            // SAFETY: the window's rows hold `columns` samples (`RowsOf::start`), and the block ends within them; the
            // second row is not touched where there is none.
            unsafe {
                let is_single = 2 * index + 1 == window.rows;
                let samples = load::<DEPTH>(row);
                low = vmlal_u8(low, vget_low_u8(samples), vdup_n_u8(first));
                high = vmlal_high_u8(high, samples, vdupq_n_u8(first));
                let samples = if is_single { samples } else { load::<DEPTH>(row.add(stride)) };
                low = vmlal_u8(low, vget_low_u8(samples), vdup_n_u8(second));
                high = vmlal_high_u8(high, samples, vdupq_n_u8(second));
            }
            row = row.wrapping_add(2 * stride);
        }
        // Less the bias.
        let [low, high] =
            [low, high].map(|sums| vreinterpretq_s16_u16(veorq_u16(sums, vdupq_n_u16(1 << 15))));
        match &mut sums {
            // SAFETY: there is room for sums of `columns` columns (`Sums::check`), and 16 of them begin at `at`.
            Sums::Row(sums) => unsafe {
                vst1q_s16(sums.as_mut_ptr().add(at), low);
                vst1q_s16(sums.as_mut_ptr().add(at + 8), high);
            },
            // SAFETY: as above, for half as many in each; `at` is even.
            Sums::Apart(even, odd) => unsafe {
                vst1q_s16(even.as_mut_ptr().add(at / 2), vuzp1q_s16(low, high));
                vst1q_s16(odd.as_mut_ptr().add(at / 2), vuzp2q_s16(low, high));
            },
        }
    }
}

/// Multiplies eight sums by eight weights and adds neighbors.
#[inline]
#[target_feature(enable = "neon")]
fn products(sums: int16x8_t, weights: int16x8_t) -> int32x4_t {
    let low = vmull_s16(vget_low_s16(sums), vget_low_s16(weights));
    vpaddq_s32(low, vmull_high_s16(sums, weights))
}

#[inline]
#[target_feature(enable = "neon")]
fn round(totals: int32x4_t) -> uint16x4_t {
    vqmovun_s32(vshrq_n_s32::<SHIFT>(vaddq_s32(totals, vdupq_n_s32(ROUND))))
}

/// Rounds two times four totals and stores them as bytes.
#[inline]
#[target_feature(enable = "neon")]
fn finish(low: int32x4_t, high: int32x4_t, to: &mut [u8; 8]) {
    let bytes = vqmovn_u16(vcombine_u16(round(low), round(high)));
    // SAFETY: 8 bytes are writable there.
    unsafe { vst1_u8(to.as_mut_ptr(), bytes) };
}

/// # Safety
/// All loads of `pairs` lie within `sums`.
#[target_feature(enable = "neon")]
unsafe fn sum_pairs(sums: &[i16], pairs: &Pairs, to: &mut [u8]) {
    let sums = sums.as_ptr();
    let tables = pairs.first.as_chunks::<4>().0.iter();
    let tables = tables.zip(pairs.shuffles.as_chunks::<4>().0);
    let tables = tables.zip(pairs.weights.as_chunks::<4>().0);
    for (((first, shuffles), weights), to) in tables.zip(to.as_chunks_mut().0) {
        let mut partial = [vdupq_n_s32(0); 4];
        for (at, partial) in partial.iter_mut().enumerate() {
            // SAFETY: the load lies within `sums`, which the caller guarantees.
            unsafe {
                let sums = vreinterpretq_u8_s16(vld1q_s16(sums.add(first[at] as usize)));
                let shuffle = vld1q_u8(shuffles[at].0.as_ptr());
                let moved = vreinterpretq_s16_u8(vqtbl1q_u8(sums, shuffle));
                *partial = products(moved, vld1q_s16(weights[at].0.as_ptr()));
            }
        }
        // Two partial sums for each output sample.
        let [a, b, c, d] = partial;
        finish(vpaddq_s32(a, b), vpaddq_s32(c, d), to);
    }
}

/// # Safety
/// All loads of `eights` lie within `sums`.
#[target_feature(enable = "neon")]
unsafe fn sum_eights(sums: &[i16], eights: &Eights, to: &mut [u8]) {
    let sums = sums.as_ptr();
    let loads = eights.loads;
    let tables = eights.first.as_chunks::<8>().0.iter();
    let tables = tables.zip(eights.weights.chunks_exact(8 * loads));
    for ((first, weights), to) in tables.zip(to.as_chunks_mut().0) {
        let mut partial = [vdupq_n_s32(0); 8];
        for (at, partial) in partial.iter_mut().enumerate() {
            for load in 0..loads {
                // SAFETY: the load lies within `sums`, which the caller guarantees.
                unsafe {
                    let sums = vld1q_s16(sums.add(first[at] as usize + 8 * load));
                    let line = vld1q_s16(weights[at * loads + load].0.as_ptr());
                    *partial = vaddq_s32(*partial, products(sums, line));
                }
            }
        }
        // Four partial sums for each output sample.
        let [a, b, c, d, e, f, g, h] = partial;
        let low = vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
        let high = vpaddq_s32(vpaddq_s32(e, f), vpaddq_s32(g, h));
        finish(low, high, to);
    }
}
