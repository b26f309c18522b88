//! Vectors of SSE4.1.
//!
//! House rules. An [`Sse41`] exists only if the processor has SSE4.1 and SSSE3. Each function is inlined into one that
//! has them; its caller guarantees that, and what its pointers point to ([`Lanes`]).

use std::arch::x86_64::*;

use super::lanes::{Lanes, kernels};
use super::{Kernels, LevelsMut, TapRow, rows};
use crate::color::Factors;
use crate::request::Line;
use crate::taps::Columns;

/// Proof that the processor has SSE4.1 and SSSE3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sse41(());

impl Sse41 {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3");
        has.then_some(Self(()))
    }
}

kernels!(Sse41, Vectors, "sse4.1,ssse3");

enum Vectors {}

#[allow(
    clippy::undocumented_unsafe_blocks,
    reason = "each is guaranteed by the caller (house rules)"
)]
impl Lanes for Vectors {
    type Words = __m128i;
    type Bytes = __m128i;
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn splat(word: i16) -> __m128i {
        unsafe { _mm_set1_epi16(word) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i16) -> __m128i {
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(words: __m128i, to: *mut i16) {
        unsafe { _mm_storeu_si128(to.cast(), words) }
    }

    #[inline(always)]
    unsafe fn add(a: __m128i, b: __m128i) -> __m128i {
        unsafe { _mm_add_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn add_saturating(a: __m128i, b: __m128i) -> __m128i {
        unsafe { _mm_adds_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m128i, b: __m128i) -> __m128i {
        unsafe { _mm_sub_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: __m128i, b: __m128i) -> __m128i {
        unsafe { _mm_min_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: __m128i, b: __m128i) -> __m128i {
        unsafe { _mm_max_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn product(a: __m128i, b: __m128i) -> __m128i {
        unsafe { _mm_mulhrs_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn windows(row: *const u8, begin: *const u32) -> __m128i {
        unsafe { _mm_loadu_si128(row.add(*begin as usize).cast()) }
    }

    #[inline(always)]
    unsafe fn load_order(order: *const [u8; 16]) -> __m128i {
        unsafe { _mm_loadu_si128(order.cast()) }
    }

    #[inline(always)]
    unsafe fn next_bytes(order: __m128i) -> __m128i {
        unsafe { _mm_add_epi8(order, _mm_set1_epi8(1)) }
    }

    #[inline(always)]
    unsafe fn shuffle(windows: __m128i, order: __m128i) -> __m128i {
        unsafe { _mm_shuffle_epi8(windows, order) }
    }

    #[inline(always)]
    unsafe fn center(words: __m128i) -> __m128i {
        unsafe { _mm_xor_si128(words, _mm_set1_epi16(i16::MIN)) }
    }

    #[inline(always)]
    unsafe fn half(words: __m128i) -> __m128i {
        unsafe { _mm_srli_epi16::<1>(words) }
    }

    #[inline(always)]
    unsafe fn between([low, high]: [__m128i; 2], weights: *const [i16; 2]) -> __m128i {
        unsafe {
            let (low, high) =
                (between_columns(low, weights), between_columns(high, weights.add(4)));
            _mm_packs_epi32(low, high)
        }
    }

    #[inline(always)]
    unsafe fn narrow(low: __m128i, high: __m128i) -> __m128i {
        unsafe { _mm_packus_epi16(_mm_srai_epi16::<6>(low), _mm_srai_epi16::<6>(high)) }
    }

    #[inline(always)]
    unsafe fn store_bytes(bytes: __m128i, to: *mut u8) {
        unsafe { _mm_storeu_si128(to.cast(), bytes) }
    }

    #[inline(always)]
    unsafe fn store_packed([first, second, third]: [__m128i; 3], to: *mut u8) {
        unsafe {
            // Where each channel's bytes go in three vectors: to every third place, five or six in each.
            let first = shuffle(first, [0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5]);
            let second = shuffle(second, [5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10]);
            let third = shuffle(third, [10, 5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15]);
            let to: *mut __m128i = to.cast();
            _mm_storeu_si128(to, every_third(first, second, third));
            _mm_storeu_si128(to.add(1), every_third(second, third, first));
            _mm_storeu_si128(to.add(2), every_third(third, first, second));
        }
    }

    #[inline(always)]
    unsafe fn load_luma(from: *const u8) -> [__m128i; 2] {
        unsafe {
            let (bytes, zero) = (_mm_loadu_si128(from.cast()), _mm_setzero_si128());
            [
                _mm_srli_epi16::<1>(_mm_unpacklo_epi8(zero, bytes)),
                _mm_srli_epi16::<1>(_mm_unpackhi_epi8(zero, bytes)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_chroma(from: *const u8) -> [__m128i; 2] {
        unsafe {
            let pairs = _mm_xor_si128(_mm_loadu_si128(from.cast()), _mm_set1_epi8(i8::MIN));
            let v = _mm_and_si128(pairs, _mm_set1_epi16(i16::MIN >> 7));
            [_mm_slli_epi16::<8>(pairs), v]
        }
    }

    #[inline(always)]
    unsafe fn twice(words: __m128i) -> [__m128i; 2] {
        unsafe { [_mm_unpacklo_epi16(words, words), _mm_unpackhi_epi16(words, words)] }
    }

    #[inline(always)]
    unsafe fn narrow_twice([low, high]: [__m128i; 2]) -> __m128i {
        unsafe { Self::narrow(low, high) }
    }
}

/// The levels between four pairs.
///
/// # Safety
/// The processor has SSE4.1; there are four weights.
#[inline(always)]
unsafe fn between_columns(pairs: __m128i, weights: *const [i16; 2]) -> __m128i {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let sums = _mm_madd_epi16(pairs, _mm_loadu_si128(weights.cast()));
        _mm_srai_epi32::<14>(_mm_add_epi32(sums, _mm_set1_epi32(1 << 13)))
    }
}

/// The bytes in another order.
///
/// # Safety
/// The processor has SSSE3.
#[inline(always)]
unsafe fn shuffle(bytes: __m128i, order: [i8; 16]) -> __m128i {
    // SAFETY: guaranteed by the caller; the array has the bytes of a vector.
    unsafe { _mm_shuffle_epi8(bytes, _mm_loadu_si128(order.as_ptr().cast())) }
}

/// In turns a byte of `a`, of `b` and of `c`.
///
/// # Safety
/// The processor has SSE4.1.
#[inline(always)]
unsafe fn every_third(a: __m128i, b: __m128i, c: __m128i) -> __m128i {
    const B: [i8; 16] = [0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0];
    const C: [i8; 16] = [0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0];
    // SAFETY: guaranteed by the caller; the arrays have the bytes of a vector.
    unsafe {
        let b_here = _mm_loadu_si128(B.as_ptr().cast());
        let c_here = _mm_loadu_si128(C.as_ptr().cast());
        _mm_blendv_epi8(_mm_blendv_epi8(a, b, b_here), c, c_here)
    }
}
