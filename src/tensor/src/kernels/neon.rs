//! Vectors of NEON.
//!
//! House rules. A [`Neon`] exists only if the processor has NEON. Each function is inlined into one that has it; its
//! caller guarantees that, and what its pointers point to ([`Lanes`]).

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::lanes::{Lanes, kernels};
use super::{Kernels, LevelsMut, TapRow, rows};
use crate::color::Factors;
use crate::request::Line;
use crate::taps::Columns;

/// Proof that the processor has NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

impl Neon {
    pub(super) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

kernels!(Neon, Vectors, "neon");

enum Vectors {}

#[allow(
    clippy::undocumented_unsafe_blocks,
    reason = "each is guaranteed by the caller (house rules)"
)]
impl Lanes for Vectors {
    type Words = int16x8_t;
    type Bytes = uint8x16_t;
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn splat(word: i16) -> int16x8_t {
        unsafe { vdupq_n_s16(word) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i16) -> int16x8_t {
        unsafe { vld1q_s16(from) }
    }

    #[inline(always)]
    unsafe fn store(words: int16x8_t, to: *mut i16) {
        unsafe { vst1q_s16(to, words) }
    }

    #[inline(always)]
    unsafe fn add(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        unsafe { vaddq_s16(a, b) }
    }

    #[inline(always)]
    unsafe fn add_saturating(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        unsafe { vqaddq_s16(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        unsafe { vsubq_s16(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        unsafe { vminq_s16(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        unsafe { vmaxq_s16(a, b) }
    }

    /// It doubles the product and takes the upper half, rounded: the same. No factor or weight is -2^15, for which it
    /// would saturate.
    #[inline(always)]
    unsafe fn product(a: int16x8_t, b: int16x8_t) -> int16x8_t {
        unsafe { vqrdmulhq_s16(a, b) }
    }

    #[inline(always)]
    unsafe fn windows(row: *const u8, begin: *const u32) -> uint8x16_t {
        unsafe { vld1q_u8(row.add(*begin as usize)) }
    }

    #[inline(always)]
    unsafe fn load_order(order: *const [u8; 16]) -> uint8x16_t {
        unsafe { vld1q_u8(order.cast()) }
    }

    #[inline(always)]
    unsafe fn next_bytes(order: uint8x16_t) -> uint8x16_t {
        unsafe { vaddq_u8(order, vdupq_n_u8(1)) }
    }

    #[inline(always)]
    unsafe fn shuffle(windows: uint8x16_t, order: uint8x16_t) -> int16x8_t {
        unsafe { vreinterpretq_s16_u8(vqtbl1q_u8(windows, order)) }
    }

    #[inline(always)]
    unsafe fn center(words: int16x8_t) -> int16x8_t {
        unsafe { veorq_s16(words, vdupq_n_s16(i16::MIN)) }
    }

    #[inline(always)]
    unsafe fn half(words: int16x8_t) -> int16x8_t {
        unsafe { vreinterpretq_s16_u16(vshrq_n_u16::<1>(vreinterpretq_u16_s16(words))) }
    }

    #[inline(always)]
    unsafe fn between([low, high]: [int16x8_t; 2], weights: *const [i16; 2]) -> int16x8_t {
        unsafe {
            let (low, high) =
                (between_columns(low, weights), between_columns(high, weights.add(4)));
            vcombine_s16(low, high)
        }
    }

    #[inline(always)]
    unsafe fn narrow(low: int16x8_t, high: int16x8_t) -> uint8x16_t {
        unsafe { vcombine_u8(vqshrun_n_s16::<6>(low), vqshrun_n_s16::<6>(high)) }
    }

    #[inline(always)]
    unsafe fn store_bytes(bytes: uint8x16_t, to: *mut u8) {
        unsafe { vst1q_u8(to, bytes) }
    }

    #[inline(always)]
    unsafe fn store_packed([first, second, third]: [uint8x16_t; 3], to: *mut u8) {
        unsafe { vst3q_u8(to, uint8x16x3_t(first, second, third)) }
    }

    #[inline(always)]
    unsafe fn load_luma(from: *const u8) -> [int16x8_t; 2] {
        unsafe {
            let bytes = vld1q_u8(from);
            [
                vreinterpretq_s16_u16(vshll_n_u8::<7>(vget_low_u8(bytes))),
                vreinterpretq_s16_u16(vshll_n_u8::<7>(vget_high_u8(bytes))),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_chroma(from: *const u8) -> [int16x8_t; 2] {
        unsafe {
            let pairs = vreinterpretq_s16_u8(veorq_u8(vld1q_u8(from), vdupq_n_u8(0x80)));
            [vshlq_n_s16::<8>(pairs), vandq_s16(pairs, vdupq_n_s16(i16::MIN >> 7))]
        }
    }

    #[inline(always)]
    unsafe fn twice(words: int16x8_t) -> [int16x8_t; 2] {
        unsafe { [vzip1q_s16(words, words), vzip2q_s16(words, words)] }
    }

    #[inline(always)]
    unsafe fn narrow_twice([low, high]: [int16x8_t; 2]) -> uint8x16_t {
        unsafe { Self::narrow(low, high) }
    }
}

/// The levels between four pairs.
///
/// # Safety
/// The processor has NEON; there are four weights.
#[inline(always)]
unsafe fn between_columns(pairs: int16x8_t, weights: *const [i16; 2]) -> int16x4_t {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let weights = vld1q_s16(weights.cast());
        let low = vmull_s16(vget_low_s16(pairs), vget_low_s16(weights));
        let high = vmull_high_s16(pairs, weights);
        vrshrn_n_s32::<14>(vpaddq_s32(low, high))
    }
}
