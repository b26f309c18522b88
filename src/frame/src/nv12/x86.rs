//! The row operations with AVX2, through the cache or past it.
//!
//! House rules. An [`Avx2`] exists only if the processor has AVX2. A kernel reads and writes whole
//! blocks: `blocks` hands it source pointers to as many bytes as it reads, staged through a zeroed
//! buffer for the last block of a row, and a destination block inside the row. Streaming stores need
//! an `sfence`, which the sequence protocol issues before publication (`seqlock`).

use std::arch::x86_64::*;

use super::{BLOCK, Rows};
use crate::streams::{RUN, each_run};

/// Proof that the processor has AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx2<const STREAM: bool = false>(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        // The standard library caches the result: one load and a test.
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    pub(super) fn streaming(self) -> Avx2<true> {
        Avx2(())
    }
}

/// Streaming stores require alignment; a slot has it, other memory may not.
pub(super) fn is_line_aligned(plane: &[u8]) -> bool {
    plane.as_ptr().addr().is_multiple_of(BLOCK)
}

impl<const STREAM: bool> Rows for Avx2<STREAM> {
    fn copy(&self, from: &[u8], to: &mut [u8]) {
        // SAFETY: the processor has AVX2 (`Avx2` proves it).
        unsafe { copy_row::<STREAM>(from, to) }
    }

    fn interleave(&self, u: &[u8], v: &[u8], to: &mut [u8]) {
        // SAFETY: the processor has AVX2 (`Avx2` proves it).
        unsafe { interleave_row::<STREAM>(u, v, to) }
    }

    fn narrow(&self, from: &[u8], to: &mut [u8]) {
        // SAFETY: the processor has AVX2 (`Avx2` proves it).
        unsafe { narrow_row::<STREAM>(from, to) }
    }

    fn narrow_interleave(&self, u: &[u8], v: &[u8], to: &mut [u8]) {
        // SAFETY: the processor has AVX2 (`Avx2` proves it).
        unsafe { narrow_interleave_row::<STREAM>(u, v, to) }
    }
}

/// Writes a destination row block by block, in several streams if it is long and bypasses the cache. `kernel` gets a
/// pointer to `READ` readable bytes for each source, and the block to write.
#[inline(always)]
fn blocks<const STREAM: bool, const N: usize, const READ: usize>(
    from: [&[u8]; N],
    to: &mut [u8],
    kernel: impl Fn([*const u8; N], *mut u8),
) {
    let bytes = from[0].len();
    assert!(from.iter().all(|source| source.len() == bytes), "planes of one size");
    assert!(bytes.div_ceil(READ) * BLOCK <= to.len(), "the row has room for its blocks");
    let whole = bytes / READ;
    let (sources, to) = (from.map(<[u8]>::as_ptr), to.as_mut_ptr());
    let block = |i: usize| {
        debug_assert!(i < whole);
        // SAFETY: `i` is below `whole`, so that many bytes are in each source and in `to`, by the assertions.
        unsafe { kernel(sources.map(|source| source.add(i * READ)), to.add(i * BLOCK)) }
    };
    if STREAM {
        const BLOCKS: usize = RUN / BLOCK;
        each_run(whole / BLOCKS, |run| (run * BLOCKS..(run + 1) * BLOCKS).for_each(block));
        (whole / BLOCKS * BLOCKS..whole).for_each(block);
    } else {
        (0..whole).for_each(block);
    }
    if !bytes.is_multiple_of(READ) {
        let staged: [[u8; READ]; N] = from.map(|source| {
            let mut stage = [0; READ];
            let rest = &source[whole * READ..];
            stage[..rest.len()].copy_from_slice(rest);
            stage
        });
        // SAFETY: the last block begins within `to` and ends there too, by the assertion.
        let last = unsafe { to.add(whole * BLOCK) };
        kernel(staged.each_ref().map(|stage| stage.as_ptr()), last);
    }
}

/// Stores half a block.
///
/// # Safety
/// `to` points to 32 writable bytes, aligned to 32 when streaming; the processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store<const STREAM: bool>(to: *mut u8, value: __m256i) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        if STREAM {
            _mm256_stream_si256(to.cast(), value);
        } else {
            _mm256_storeu_si256(to.cast(), value);
        }
    }
}

#[target_feature(enable = "avx2")]
fn copy_row<const STREAM: bool>(from: &[u8], to: &mut [u8]) {
    blocks::<STREAM, 1, 64>([from], to, |[from], to| {
        // SAFETY: `blocks` gives 64 readable bytes and a whole block to write, which is line-aligned when
        // streaming (`is_line_aligned`, and the stride is a multiple of a line).
        unsafe {
            let low = _mm256_loadu_si256(from.cast());
            let high = _mm256_loadu_si256(from.add(32).cast());
            store::<STREAM>(to, low);
            store::<STREAM>(to.add(32), high);
        }
    });
}

#[target_feature(enable = "avx2")]
fn interleave_row<const STREAM: bool>(u: &[u8], v: &[u8], to: &mut [u8]) {
    blocks::<STREAM, 2, 32>([u, v], to, |[u, v], to| {
        // SAFETY: as in `copy_row`, with 32 readable bytes per source.
        unsafe {
            let u = _mm256_loadu_si256(u.cast());
            let v = _mm256_loadu_si256(v.cast());
            interleave_store::<STREAM>(u, v, to);
        }
    });
}

/// Stores 32 pairs. The unpack instructions work within 128-bit lanes; the permutes put them in order.
///
/// # Safety
/// As for `store`, with 64 bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn interleave_store<const STREAM: bool>(u: __m256i, v: __m256i, to: *mut u8) {
    let low = _mm256_unpacklo_epi8(u, v);
    let high = _mm256_unpackhi_epi8(u, v);
    // SAFETY: guaranteed by the caller.
    unsafe {
        store::<STREAM>(to, _mm256_permute2x128_si256::<0x20>(low, high));
        store::<STREAM>(to.add(32), _mm256_permute2x128_si256::<0x31>(low, high));
    }
}

/// The 10-bit rule for 32 samples. Saturating addition keeps an out-of-range 0xffff at the top;
/// packing saturates at 255 as the rule requires, since a sample shifted right by two is a positive
/// 16-bit number.
///
/// # Safety
/// `from` points to 64 readable bytes; the processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn narrow_32(from: *const u8) -> __m256i {
    let two = _mm256_set1_epi16(2);
    // SAFETY: guaranteed by the caller.
    let (low, high) =
        unsafe { (_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())) };
    let low = _mm256_srli_epi16::<2>(_mm256_adds_epu16(low, two));
    let high = _mm256_srli_epi16::<2>(_mm256_adds_epu16(high, two));
    // Packing works within lanes: 64-bit quarters 0 2 1 3 are the samples' order.
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(low, high))
}

#[target_feature(enable = "avx2")]
fn narrow_row<const STREAM: bool>(from: &[u8], to: &mut [u8]) {
    blocks::<STREAM, 1, 128>([from], to, |[from], to| {
        // SAFETY: as in `copy_row`, with 128 readable bytes.
        unsafe {
            store::<STREAM>(to, narrow_32(from));
            store::<STREAM>(to.add(32), narrow_32(from.add(64)));
        }
    });
}

#[target_feature(enable = "avx2")]
fn narrow_interleave_row<const STREAM: bool>(u: &[u8], v: &[u8], to: &mut [u8]) {
    blocks::<STREAM, 2, 64>([u, v], to, |[u, v], to| {
        // SAFETY: as in `copy_row`, with 64 readable bytes per source.
        unsafe { interleave_store::<STREAM>(narrow_32(u), narrow_32(v), to) }
    });
}
