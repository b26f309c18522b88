//! The steps with SSE4.1.
//!
//! House rules as for AVX2: an [`Sse41`] exists only if the processor has SSE4.1 (and so SSSE3), lengths are asserted
//! at the top of each function, and a block that would end past a row is moved back.

use std::arch::x86_64::*;

use super::scalar::Scalar;
use super::{Kernels, ROUND, RowsOf, SHIFT, Sums, prefetch};
use crate::source::Depth;
use crate::tables::{Columns, Eights, Lines, Pairs, RowWindow};

/// Proof that the processor has SSE4.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sse41(());

/// Columns of a block.
const BLOCK: usize = 16;

const EIGHT: u8 = 0;
const LOW_TEN: u8 = 1;
const HIGH: u8 = 2;

impl Sse41 {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3");
        has.then_some(Self(()))
    }
}

impl Kernels for Sse41 {
    fn sum_rows(self, rows: &RowsOf<'_>, window: &RowWindow<'_>, sums: Sums<'_>) {
        if rows.columns < BLOCK {
            return Scalar.sum_rows(rows, window, sums);
        }
        // SAFETY: the processor has SSE4.1 (`Sse41` proves it).
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
        // SAFETY: the processor has SSE4.1 (`Sse41` proves it), and `sums` reaches as far as the tables say.
        unsafe {
            match &columns.lines {
                Lines::Pairs(pairs) => sum_pairs(sums, pairs, to),
                Lines::Eights(eights) => sum_eights(sums, eights, to),
            }
        }
    }
}

/// Loads 16 samples and moves their range to -128..128.
///
/// # Safety
/// `from` points to 16 readable samples.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn load<const DEPTH: u8>(from: *const u8) -> __m128i {
    // SAFETY: guaranteed by the caller.
    let samples = unsafe {
        let low = _mm_loadu_si128(from.cast());
        if DEPTH == EIGHT {
            low
        } else {
            let high = _mm_loadu_si128(from.add(16).cast());
            let narrow = |words| {
                // Saturating addition keeps a word out of range at the top; packing saturates at 255.
                if DEPTH == LOW_TEN {
                    _mm_srli_epi16::<2>(_mm_adds_epu16(words, _mm_set1_epi16(2)))
                } else {
                    _mm_srli_epi16::<8>(_mm_adds_epu16(words, _mm_set1_epi16(128)))
                }
            };
            _mm_packus_epi16(narrow(low), narrow(high))
        }
    };
    _mm_xor_si128(samples, _mm_set1_epi8(i8::MIN))
}

#[target_feature(enable = "sse4.1")]
fn sum_rows<const DEPTH: u8>(rows: &RowsOf<'_>, window: &RowWindow<'_>, sums: Sums<'_>) {
    let (columns, stride) = (rows.columns, rows.plane.stride);
    let sample_bytes = if DEPTH == EIGHT { 1 } else { 2 };
    assert!(columns >= BLOCK);
    let from = rows.start(window);
    sums.check(columns);
    let mut sums = sums;
    let ahead = window.rows * stride;
    let mut column = 0;
    while column < columns {
        let at = column.min(columns - BLOCK);
        column += BLOCK;
        let (mut low, mut high) = (_mm_setzero_si128(), _mm_setzero_si128());
        let mut row = from.wrapping_add(at * sample_bytes);
        for (index, pair) in window.pairs.iter().enumerate() {
            let weights = _mm_set1_epi16(pair.cast_signed());
            let is_single = 2 * index + 1 == window.rows;
            if at.is_multiple_of(64 / sample_bytes) {
                prefetch(row.wrapping_add(ahead), 1);
                if !is_single {
                    prefetch(row.wrapping_add(ahead + stride), 1);
                }
            }
            // SAFETY: the window's rows hold `columns` samples (`RowsOf::start`), and the block ends within them; the
            // second row is not touched where there is none.
            let (first, second) = unsafe {
                let first = load::<DEPTH>(row);
                (first, if is_single { first } else { load::<DEPTH>(row.add(stride)) })
            };
            let pairs = _mm_unpacklo_epi8(first, second);
            low = _mm_add_epi16(low, _mm_maddubs_epi16(weights, pairs));
            let pairs = _mm_unpackhi_epi8(first, second);
            high = _mm_add_epi16(high, _mm_maddubs_epi16(weights, pairs));
            row = row.wrapping_add(2 * stride);
        }
        match &mut sums {
            // SAFETY: there is room for sums of `columns` columns (`Sums::check`), and 16 of them begin at `at`.
            Sums::Row(sums) => unsafe {
                let to: *mut __m128i = sums.as_mut_ptr().add(at).cast();
                _mm_storeu_si128(to, low);
                _mm_storeu_si128(to.add(1), high);
            },
            Sums::Apart(even, odd) => {
                let lower = |words| _mm_srai_epi32::<16>(_mm_slli_epi32::<16>(words));
                let upper = |words| _mm_srai_epi32::<16>(words);
                let evens = _mm_packs_epi32(lower(low), lower(high));
                let odds = _mm_packs_epi32(upper(low), upper(high));
                // SAFETY: as above, for half as many in each; `at` is even.
                unsafe {
                    _mm_storeu_si128(even.as_mut_ptr().add(at / 2).cast(), evens);
                    _mm_storeu_si128(odd.as_mut_ptr().add(at / 2).cast(), odds);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "sse4.1")]
fn round(totals: __m128i) -> __m128i {
    _mm_srai_epi32::<SHIFT>(_mm_add_epi32(totals, _mm_set1_epi32(ROUND)))
}

/// Rounds two times four totals and stores them as bytes.
#[inline]
#[target_feature(enable = "sse4.1")]
fn finish(low: __m128i, high: __m128i, to: &mut [u8; 8]) {
    let words = _mm_packus_epi32(round(low), round(high));
    // SAFETY: 8 bytes are writable there.
    unsafe { _mm_storel_epi64(to.as_mut_ptr().cast(), _mm_packus_epi16(words, words)) };
}

/// # Safety
/// All loads of `pairs` lie within `sums`.
#[target_feature(enable = "sse4.1")]
unsafe fn sum_pairs(sums: &[i16], pairs: &Pairs, to: &mut [u8]) {
    let sums = sums.as_ptr();
    let tables = pairs.first.as_chunks::<4>().0.iter();
    let tables = tables.zip(pairs.shuffles.as_chunks::<4>().0);
    let tables = tables.zip(pairs.weights.as_chunks::<4>().0);
    for (((first, shuffles), weights), to) in tables.zip(to.as_chunks_mut().0) {
        let mut products = [_mm_setzero_si128(); 4];
        for (at, products) in products.iter_mut().enumerate() {
            // SAFETY: the load lies within `sums`, which the caller guarantees.
            unsafe {
                let sums = _mm_loadu_si128(sums.add(first[at] as usize).cast());
                let shuffle = _mm_load_si128((&raw const shuffles[at].0).cast());
                let weights = _mm_load_si128((&raw const weights[at].0).cast());
                *products = _mm_madd_epi16(_mm_shuffle_epi8(sums, shuffle), weights);
            }
        }
        // Two partial sums for each output sample.
        let [a, b, c, d] = products;
        finish(_mm_hadd_epi32(a, b), _mm_hadd_epi32(c, d), to);
    }
}

/// # Safety
/// All loads of `eights` lie within `sums`.
#[target_feature(enable = "sse4.1")]
unsafe fn sum_eights(sums: &[i16], eights: &Eights, to: &mut [u8]) {
    let sums = sums.as_ptr();
    let loads = eights.loads;
    let tables = eights.first.as_chunks::<8>().0.iter();
    let tables = tables.zip(eights.weights.chunks_exact(8 * loads));
    for ((first, weights), to) in tables.zip(to.as_chunks_mut().0) {
        let mut products = [_mm_setzero_si128(); 8];
        for (at, products) in products.iter_mut().enumerate() {
            for load in 0..loads {
                let from = first[at] as usize + 8 * load;
                let line = &raw const weights[at * loads + load].0;
                // SAFETY: the load lies within `sums`, which the caller guarantees.
                unsafe {
                    let sums = _mm_loadu_si128(sums.add(from).cast());
                    let product = _mm_madd_epi16(sums, _mm_load_si128(line.cast()));
                    *products = _mm_add_epi32(*products, product);
                }
            }
        }
        // Four partial sums for each output sample.
        let [a, b, c, d, e, f, g, h] = products;
        let low = _mm_hadd_epi32(_mm_hadd_epi32(a, b), _mm_hadd_epi32(c, d));
        let high = _mm_hadd_epi32(_mm_hadd_epi32(e, f), _mm_hadd_epi32(g, h));
        finish(low, high, to);
    }
}
