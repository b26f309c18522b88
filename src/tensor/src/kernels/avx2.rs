//! Vectors of AVX2.
//!
//! House rules. An [`Avx2`] exists only if the processor has AVX2. Each function is inlined into one that has it; its
//! caller guarantees that, and what its pointers point to ([`Lanes`]).

use std::arch::x86_64::*;

use super::lanes::{Lanes, kernels};
use super::{Kernels, LevelsMut, TapRow, rows};
use crate::color::Factors;
use crate::request::Line;
use crate::taps::Columns;

/// Proof that the processor has AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

kernels!(Avx2, Vectors, "avx2");

enum Vectors {}

/// Four pairs of words in the order of columns, of which each half of a vector has two.
const IN_ORDER: i32 = 0b11_01_10_00;

#[allow(
    clippy::undocumented_unsafe_blocks,
    reason = "each is guaranteed by the caller (house rules)"
)]
impl Lanes for Vectors {
    type Words = __m256i;
    type Bytes = __m256i;
    const LEN: usize = 16;

    #[inline(always)]
    unsafe fn splat(word: i16) -> __m256i {
        unsafe { _mm256_set1_epi16(word) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i16) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(words: __m256i, to: *mut i16) {
        unsafe { _mm256_storeu_si256(to.cast(), words) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_add_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn add_saturating(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_adds_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_sub_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_min_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_max_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn product(a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_mulhrs_epi16(a, b) }
    }

    #[inline(always)]
    unsafe fn windows(row: *const u8, begin: *const u32) -> __m256i {
        unsafe {
            let low = _mm_loadu_si128(row.add(*begin as usize).cast());
            let high = _mm_loadu_si128(row.add(*begin.add(1) as usize).cast());
            _mm256_set_m128i(high, low)
        }
    }

    #[inline(always)]
    unsafe fn load_order(order: *const [u8; 16]) -> __m256i {
        unsafe { _mm256_loadu_si256(order.cast()) }
    }

    #[inline(always)]
    unsafe fn next_bytes(order: __m256i) -> __m256i {
        unsafe { _mm256_add_epi8(order, _mm256_set1_epi8(1)) }
    }

    #[inline(always)]
    unsafe fn shuffle(windows: __m256i, order: __m256i) -> __m256i {
        unsafe { _mm256_shuffle_epi8(windows, order) }
    }

    #[inline(always)]
    unsafe fn center(words: __m256i) -> __m256i {
        unsafe { _mm256_xor_si256(words, _mm256_set1_epi16(i16::MIN)) }
    }

    #[inline(always)]
    unsafe fn half(words: __m256i) -> __m256i {
        unsafe { _mm256_srli_epi16::<1>(words) }
    }

    #[inline(always)]
    unsafe fn between(pairs: [__m256i; 2], weights: *const [i16; 2]) -> __m256i {
        unsafe {
            let [low, high] = pairs;
            let low = between_columns(low, weights);
            let high = between_columns(high, weights.add(8));
            _mm256_permute4x64_epi64::<IN_ORDER>(_mm256_packs_epi32(low, high))
        }
    }

    #[inline(always)]
    unsafe fn narrow(low: __m256i, high: __m256i) -> __m256i {
        unsafe { _mm256_permute4x64_epi64::<IN_ORDER>(Self::narrow_twice([low, high])) }
    }

    #[inline(always)]
    unsafe fn store_bytes(bytes: __m256i, to: *mut u8) {
        unsafe { _mm256_storeu_si256(to.cast(), bytes) }
    }

    #[inline(always)]
    unsafe fn store_packed([first, second, third]: [__m256i; 3], to: *mut u8) {
        unsafe {
            // Where each channel's bytes go in a lane's three vectors: to every third place, five or six in each.
            let first = shuffle(first, [0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5]);
            let second = shuffle(second, [5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10]);
            let third = shuffle(third, [10, 5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15]);
            let begin = every_third(first, second, third);
            let middle = every_third(second, third, first);
            let end = every_third(third, first, second);
            let to: *mut __m256i = to.cast();
            _mm256_storeu_si256(to, _mm256_permute2x128_si256::<0x20>(begin, middle));
            _mm256_storeu_si256(to.add(1), _mm256_permute2x128_si256::<0x30>(end, begin));
            _mm256_storeu_si256(to.add(2), _mm256_permute2x128_si256::<0x31>(middle, end));
        }
    }

    #[inline(always)]
    unsafe fn load_luma(from: *const u8) -> [__m256i; 2] {
        unsafe {
            let (bytes, zero) = (_mm256_loadu_si256(from.cast()), _mm256_setzero_si256());
            [
                _mm256_srli_epi16::<1>(_mm256_unpacklo_epi8(zero, bytes)),
                _mm256_srli_epi16::<1>(_mm256_unpackhi_epi8(zero, bytes)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_chroma(from: *const u8) -> [__m256i; 2] {
        unsafe {
            let pairs =
                _mm256_xor_si256(_mm256_loadu_si256(from.cast()), _mm256_set1_epi8(i8::MIN));
            let v = _mm256_and_si256(pairs, _mm256_set1_epi16(i16::MIN >> 7));
            [_mm256_slli_epi16::<8>(pairs), v]
        }
    }

    #[inline(always)]
    unsafe fn twice(words: __m256i) -> [__m256i; 2] {
        unsafe { [_mm256_unpacklo_epi16(words, words), _mm256_unpackhi_epi16(words, words)] }
    }

    #[inline(always)]
    unsafe fn narrow_twice([low, high]: [__m256i; 2]) -> __m256i {
        unsafe { _mm256_packus_epi16(_mm256_srai_epi16::<6>(low), _mm256_srai_epi16::<6>(high)) }
    }
}

/// The levels between eight pairs.
///
/// # Safety
/// The processor has AVX2; there are eight weights.
#[inline(always)]
unsafe fn between_columns(pairs: __m256i, weights: *const [i16; 2]) -> __m256i {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let sums = _mm256_madd_epi16(pairs, _mm256_loadu_si256(weights.cast()));
        _mm256_srai_epi32::<14>(_mm256_add_epi32(sums, _mm256_set1_epi32(1 << 13)))
    }
}

/// The bytes of each lane in another order.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn shuffle(bytes: __m256i, order: [i8; 16]) -> __m256i {
    // SAFETY: guaranteed by the caller; the array has the bytes of a lane.
    unsafe {
        let order = _mm_loadu_si128(order.as_ptr().cast());
        _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(order))
    }
}

/// In turns a byte of `a`, of `b` and of `c`, in each lane.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn every_third(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    const B: [i8; 16] = [0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0];
    const C: [i8; 16] = [0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0];
    // SAFETY: guaranteed by the caller; the arrays have the bytes of a lane.
    unsafe {
        let b_here = _mm256_broadcastsi128_si256(_mm_loadu_si128(B.as_ptr().cast()));
        let c_here = _mm256_broadcastsi128_si256(_mm_loadu_si128(C.as_ptr().cast()));
        _mm256_blendv_epi8(_mm256_blendv_epi8(a, b, b_here), c, c_here)
    }
}
