//! The steps with AVX2.
//!
//! House rules. An [`Avx2`] exists only if the processor has AVX2. Pointers come from slices whose lengths are
//! asserted at the top of each function. A block that would end past a row is moved back to end with it, and what it
//! has in common with the block before is computed twice. No closure with vectors is given to functions of the standard
//! library: they would not be inlined, since those lack the feature.

use std::arch::x86_64::*;

use super::scalar::Scalar;
use super::{Kernels, ROUND, RowsOf, SHIFT, Sums, prefetch};
use crate::source::Depth;
use crate::tables::{Columns, Eights, GROUP, Lines, Pairs, RowWindow};

/// Proof that the processor has AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

/// Columns of a block.
const BLOCK: usize = 32;

const EIGHT: u8 = 0;
const LOW_TEN: u8 = 1;
const HIGH: u8 = 2;

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl Kernels for Avx2 {
    fn sum_rows(self, rows: &RowsOf<'_>, window: &RowWindow<'_>, sums: Sums<'_>) {
        if rows.columns < BLOCK {
            return Scalar.sum_rows(rows, window, sums);
        }
        // SAFETY: the processor has AVX2 (`Avx2` proves it).
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
        // SAFETY: the processor has AVX2 (`Avx2` proves it), and `sums` reaches as far as the tables say.
        unsafe {
            match &columns.lines {
                Lines::Pairs(pairs) => sum_pairs(sums, pairs, to),
                Lines::Eights(eights) => sum_eights(sums, eights, to),
            }
        }
    }
}

/// Loads 32 samples and moves their range to -128..128.
///
/// # Safety
/// `from` points to 32 readable samples.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load<const DEPTH: u8>(from: *const u8) -> __m256i {
    // SAFETY: guaranteed by the caller.
    let samples = unsafe {
        let low = _mm256_loadu_si256(from.cast());
        if DEPTH == EIGHT {
            low
        } else {
            let high = _mm256_loadu_si256(from.add(32).cast());
            let narrow = |words| {
                // Saturating addition keeps a word out of range at the top; packing saturates at 255.
                if DEPTH == LOW_TEN {
                    _mm256_srli_epi16::<2>(_mm256_adds_epu16(words, _mm256_set1_epi16(2)))
                } else {
                    _mm256_srli_epi16::<8>(_mm256_adds_epu16(words, _mm256_set1_epi16(128)))
                }
            };
            let packed = _mm256_packus_epi16(narrow(low), narrow(high));
            reorder(packed)
        }
    };
    _mm256_xor_si256(samples, _mm256_set1_epi8(i8::MIN))
}

/// Adds the weighted rows of `BLOCKS` blocks. Each has two times 16 sums, in the order of columns.
///
/// # Safety
/// `from` points to the blocks of the window's first row, `stride` bytes before those of its second one and so on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sum_blocks<const DEPTH: u8, const BLOCKS: usize>(
    from: *const u8,
    stride: usize,
    window: &RowWindow<'_>,
) -> [[__m256i; 2]; BLOCKS] {
    let sample_bytes = if DEPTH == EIGHT { 1 } else { 2 };
    let mut sums = [[_mm256_setzero_si256(); 2]; BLOCKS];
    let mut row = from;
    let ahead = window.rows * stride;
    for (at, pair) in window.pairs.iter().enumerate() {
        let weights = _mm256_set1_epi16(pair.cast_signed());
        let is_single = 2 * at + 1 == window.rows;
        if BLOCKS > 1 {
            let bytes = BLOCKS * BLOCK * sample_bytes;
            prefetch(row.wrapping_add(ahead), bytes);
            if !is_single {
                prefetch(row.wrapping_add(ahead + stride), bytes);
            }
        }
        for (block, [low, high]) in sums.iter_mut().enumerate() {
            // SAFETY: guaranteed by the caller; the second row is not touched where there is none.
            let (first, second) = unsafe {
                let from = row.add(block * BLOCK * sample_bytes);
                let first = load::<DEPTH>(from);
                (first, if is_single { first } else { load::<DEPTH>(from.add(stride)) })
            };
            let pairs = _mm256_unpacklo_epi8(first, second);
            *low = _mm256_add_epi16(*low, _mm256_maddubs_epi16(weights, pairs));
            let pairs = _mm256_unpackhi_epi8(first, second);
            *high = _mm256_add_epi16(*high, _mm256_maddubs_epi16(weights, pairs));
        }
        row = row.wrapping_add(2 * stride);
    }
    // Unpacking works within 128-bit lanes.
    for [low, high] in &mut sums {
        let joined = [*low, *high];
        *low = _mm256_permute2x128_si256::<0x20>(joined[0], joined[1]);
        *high = _mm256_permute2x128_si256::<0x31>(joined[0], joined[1]);
    }
    sums
}

#[target_feature(enable = "avx2")]
fn sum_rows<const DEPTH: u8>(rows: &RowsOf<'_>, window: &RowWindow<'_>, sums: Sums<'_>) {
    let (columns, stride) = (rows.columns, rows.plane.stride);
    let sample_bytes = if DEPTH == EIGHT { 1 } else { 2 };
    assert!(columns >= BLOCK);
    let from = rows.start(window);
    sums.check(columns);
    let mut sums = sums;
    let mut store = |column: usize, [first, second]: [__m256i; 2]| match &mut sums {
        // SAFETY: there is room for sums of `columns` columns (`Sums::check`), and 32 of them begin at `column`.
        Sums::Row(sums) => unsafe {
            let to: *mut __m256i = sums.as_mut_ptr().add(column).cast();
            _mm256_storeu_si256(to, first);
            _mm256_storeu_si256(to.add(1), second);
        },
        Sums::Apart(even, odd) => {
            let low = |words| _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(words));
            let high = |words| _mm256_srai_epi32::<16>(words);
            let evens = reorder(_mm256_packs_epi32(low(first), low(second)));
            let odds = reorder(_mm256_packs_epi32(high(first), high(second)));
            // SAFETY: as above, for half as many in each; `column` is even.
            unsafe {
                _mm256_storeu_si256(even.as_mut_ptr().add(column / 2).cast(), evens);
                _mm256_storeu_si256(odd.as_mut_ptr().add(column / 2).cast(), odds);
            }
        }
    };
    // SAFETY: the window's rows hold `columns` samples (`RowsOf::start`), and every block ends within them.
    unsafe {
        let mut column = 0;
        while column + 2 * BLOCK <= columns {
            let [one, two] =
                sum_blocks::<DEPTH, 2>(from.add(column * sample_bytes), stride, window);
            store(column, one);
            store(column + BLOCK, two);
            column += 2 * BLOCK;
        }
        while column < columns {
            let at = column.min(columns - BLOCK);
            let [one] = sum_blocks::<DEPTH, 1>(from.add(at * sample_bytes), stride, window);
            store(at, one);
            column += BLOCK;
        }
    }
}

/// Loads eight words from each of two places.
///
/// # Safety
/// Eight words are readable at both.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_two(low: *const i16, high: *const i16) -> __m256i {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let (low, high) = (_mm_loadu_si128(low.cast()), _mm_loadu_si128(high.cast()));
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
    }
}

/// Words in the order of samples: instructions that join two registers work within 128-bit lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn reorder(joined: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(joined)
}

#[inline]
#[target_feature(enable = "avx2")]
fn round(totals: __m256i) -> __m256i {
    _mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(totals, _mm256_set1_epi32(ROUND)))
}

/// Rounds two times eight totals and stores them as bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn finish(low: __m256i, high: __m256i, to: &mut [u8; GROUP]) {
    let words = reorder(_mm256_packus_epi32(round(low), round(high)));
    let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    // SAFETY: 16 bytes are writable there.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_packus_epi16(low, high)) };
}

/// # Safety
/// All loads of `pairs` lie within `sums`.
#[target_feature(enable = "avx2")]
unsafe fn sum_pairs(sums: &[i16], pairs: &Pairs, to: &mut [u8]) {
    const PAIRS: usize = GROUP / 2;
    let sums = sums.as_ptr();
    let tables = pairs.first.as_chunks::<PAIRS>().0.iter();
    let tables = tables.zip(pairs.shuffles.as_chunks::<PAIRS>().0);
    let tables = tables.zip(pairs.weights.as_chunks::<PAIRS>().0);
    for (((first, shuffles), weights), to) in tables.zip(to.as_chunks_mut().0) {
        let mut products = [_mm256_setzero_si256(); PAIRS / 2];
        for (two, products) in products.iter_mut().enumerate() {
            let at = 2 * two;
            // SAFETY: the loads lie within `sums`, which the caller guarantees; the tables have eight lines here.
            unsafe {
                let (low, high) = (first[at] as usize, first[at + 1] as usize);
                let sums = load_two(sums.add(low), sums.add(high));
                let shuffle = _mm256_loadu_si256(shuffles.as_ptr().add(at).cast());
                let weights = _mm256_loadu_si256(weights.as_ptr().add(at).cast());
                *products = _mm256_madd_epi16(_mm256_shuffle_epi8(sums, shuffle), weights);
            }
        }
        // Two partial sums for each output sample.
        let low = reorder(_mm256_hadd_epi32(products[0], products[1]));
        let high = reorder(_mm256_hadd_epi32(products[2], products[3]));
        finish(low, high, to);
    }
}

/// # Safety
/// All loads of `eights` lie within `sums`.
#[target_feature(enable = "avx2")]
unsafe fn sum_eights(sums: &[i16], eights: &Eights, to: &mut [u8]) {
    let sums = sums.as_ptr();
    let loads = eights.loads;
    let tables = eights.first.as_chunks::<GROUP>().0.iter();
    let tables = tables.zip(eights.weights.chunks_exact(GROUP * loads));
    for ((first, weights), to) in tables.zip(to.as_chunks_mut().0) {
        let mut products = [_mm256_setzero_si256(); GROUP / 2];
        for (index, products) in products.iter_mut().enumerate() {
            // Samples 0 to 3 and 8 to 11 in the low halves, those four further on in the high ones.
            let at = index / 4 * 8 + index % 4;
            for load in 0..loads {
                let (low, high) = (first[at] as usize, first[at + 4] as usize);
                // SAFETY: the caller guarantees that the loads lie within `sums`; a group has `GROUP * loads` lines.
                unsafe {
                    let sums = load_two(sums.add(low + 8 * load), sums.add(high + 8 * load));
                    let line = |at: usize| weights.as_ptr().add(at * loads + load).cast();
                    let weights = load_two(line(at), line(at + 4));
                    *products = _mm256_add_epi32(*products, _mm256_madd_epi16(sums, weights));
                }
            }
        }
        // Four partial sums for each output sample.
        let [a, b, c, d, e, f, g, h] = products;
        let low = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        let high = _mm256_hadd_epi32(_mm256_hadd_epi32(e, f), _mm256_hadd_epi32(g, h));
        finish(low, high, to);
    }
}
