//! Copies from memory that another process may be writing.
//!
//! House rules. To the language such a read is a data race, which is undefined for ordinary loads and
//! `memcpy`. Inline assembly is exempt: it does what the processor does, and the compiler assumes nothing
//! about the bytes read. Elsewhere volatile words are the nearest equivalent. A copy counts only after the
//! sequence was found unchanged. A function that streams issues the fence before anybody else sees the
//! copy: [`copy_plane`] does.

/// From this size on (720p is larger), copying past the cache is faster, even if the copy is read afterwards.
pub(super) const STREAM_FROM_BYTES: usize = 1 << 20;

/// Copies rows of `row_bytes` into a tight plane, past the cache if `stream` is set and the processor can.
///
/// # Safety
/// At `from`, as many rows as fit `to` are mapped, `stride` bytes apart, and none overlaps `to`.
pub(super) unsafe fn copy_plane(
    from: *const u8,
    stride: usize,
    to: &mut [u8],
    row_bytes: usize,
    stream: bool,
) {
    // Rows without padding are one long row.
    let row_bytes = if stride == row_bytes { to.len() } else { row_bytes };
    for (i, row) in to.chunks_exact_mut(row_bytes).enumerate() {
        // SAFETY: guaranteed by the caller.
        unsafe { copy_racing(from.add(i * stride), row, stream) };
    }
    #[cfg(target_arch = "x86_64")]
    if stream {
        // Nothing else orders streaming stores before a later release by the reader. SAFETY: SSE is
        // part of x86-64, and the instruction accesses no Rust memory.
        unsafe { std::arch::x86_64::_mm_sfence() };
    }
}

/// Fills `to`, past the cache if `stream` is set and the processor can. The caller issues the fence
/// that streaming stores need.
///
/// # Safety
/// `from` points to that many mapped bytes, which do not overlap `to`.
pub(super) unsafe fn copy_racing(from: *const u8, to: &mut [u8], stream: bool) {
    // SAFETY: guaranteed by the caller.
    let done = unsafe { copy_runs(from, to, stream) };
    // SAFETY: the rest of the bytes that the caller guaranteed.
    unsafe { copy_words(from.add(done), &mut to[done..]) }
}

/// Copies whole runs from the start, and returns how many bytes that were.
///
/// # Safety
/// As [`copy_racing`].
#[cfg(target_arch = "x86_64")]
unsafe fn copy_runs(from: *const u8, to: &mut [u8], stream: bool) -> usize {
    if !is_x86_feature_detected!("avx") {
        return 0;
    }
    // Streaming stores write whole lines.
    let head = if stream { to.as_ptr().align_offset(x86::LINE).min(to.len()) } else { 0 };
    let (first, rest) = to.split_at_mut(head);
    // SAFETY: guaranteed by the caller; AVX was detected; `rest` starts at a line boundary when
    // streaming.
    unsafe {
        copy_words(from, first);
        let from = from.add(head);
        head + if stream { x86::copy::<true>(from, rest) } else { x86::copy::<false>(from, rest) }
    }
}

/// There is no copy in runs for this processor.
///
/// # Safety
/// None.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_runs(_from: *const u8, _to: &mut [u8], _stream: bool) -> usize {
    0
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::_mm256_zeroupper;

    use crate::streams::{RUN, each_run};

    pub(super) const LINE: usize = 64;

    /// Copies whole runs and returns how many bytes that were.
    ///
    /// # Safety
    /// As for `copy_racing`; the processor has AVX; `to` starts at a line boundary when streaming.
    #[target_feature(enable = "avx")]
    pub(super) unsafe fn copy<const STREAM: bool>(from: *const u8, to: &mut [u8]) -> usize {
        let runs = to.len() / RUN;
        let to = to.as_mut_ptr();
        // SAFETY: `run` is below `runs`, so both pointers stay within the bytes that the caller
        // guaranteed.
        let write =
            |run: usize| unsafe { copy_run::<STREAM>(from.add(run * RUN), to.add(run * RUN)) };
        if STREAM {
            each_run(runs, write);
        } else {
            (0..runs).for_each(write);
        }
        _mm256_zeroupper();
        runs * RUN
    }

    macro_rules! copy_run {
        ($store:literal, $from:ident, $to:ident) => {
            asm!(
                "vmovdqu {a}, [{from}]",
                "vmovdqu {b}, [{from} + 32]",
                "vmovdqu {c}, [{from} + 64]",
                "vmovdqu {d}, [{from} + 96]",
                concat!($store, " [{to}], {a}"),
                concat!($store, " [{to} + 32], {b}"),
                concat!($store, " [{to} + 64], {c}"),
                concat!($store, " [{to} + 96], {d}"),
                from = in(reg) $from,
                to = in(reg) $to,
                a = out(ymm_reg) _, b = out(ymm_reg) _, c = out(ymm_reg) _, d = out(ymm_reg) _,
                options(nostack, preserves_flags),
            )
        };
    }

    /// # Safety
    /// `RUN` bytes are readable at `from` and writable at `to`, which is 32-byte-aligned when streaming; the
    /// processor has AVX.
    #[inline]
    #[target_feature(enable = "avx")]
    unsafe fn copy_run<const STREAM: bool>(from: *const u8, to: *mut u8) {
        // SAFETY: guaranteed by the caller; changed registers are declared.
        unsafe {
            if STREAM {
                copy_run!("vmovntdq", from, to);
            } else {
                copy_run!("vmovdqu", from, to);
            }
        }
    }
}

/// # Safety
/// As [`copy_racing`].
unsafe fn copy_words(from: *const u8, to: &mut [u8]) {
    const WORD: usize = size_of::<u64>();
    let (words, rest) = to.as_chunks_mut::<WORD>();
    let whole = words.len() * WORD;
    for (i, word) in words.iter_mut().enumerate() {
        // SAFETY: within the bytes that the caller guaranteed; a packed read needs no alignment.
        let value = unsafe { from.add(i * WORD).cast::<Unaligned>().read_volatile() };
        *word = value.0.to_ne_bytes();
    }
    for (i, byte) in rest.iter_mut().enumerate() {
        // SAFETY: within the bytes that the caller guaranteed.
        *byte = unsafe { from.add(whole + i).read_volatile() };
    }
}

/// A word at any address.
#[repr(C, packed)]
struct Unaligned(u64);

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without a period that the copy uses.
    fn source(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7 + i / 251 + i / 65_537) as u8).collect()
    }

    fn check(from: &[u8], at: usize, copy: impl Fn(*const u8, &mut [u8])) {
        let mut to = vec![0xee; at + from.len() + 1];
        copy(from.as_ptr(), &mut to[at..at + from.len()]);
        let (before, copied) = to.split_at(at);
        let what = format!("{} bytes from {:p} to {:p}", from.len(), from, copied);
        assert!(copied[..from.len()] == *from, "{what}");
        assert!(copied[from.len()] == 0xee && before.iter().all(|b| *b == 0xee), "around {what}");
    }

    #[test]
    fn every_length_and_alignment() {
        let bytes = source(1200);
        for start in 0..9 {
            for len in (0..300).chain([511, 512, 513, 1024]) {
                let from = &bytes[start..][..len];
                // SAFETY: `check` passes as many bytes to read as to write, here and below.
                check(from, len % 5, |from, to| unsafe { copy_words(from, to) });
                for stream in [false, true] {
                    // SAFETY: as above.
                    check(from, len % 5, |from, to| unsafe { copy_racing(from, to, stream) });
                }
            }
        }
    }

    #[test]
    fn rows_with_and_without_padding() {
        for (row_bytes, stride, rows) in
            [(1, 64, 3), (64, 64, 5), (854, 896, 9), (1366, 1408, 7), (640, 640, 360)]
        {
            let slot = source(stride * rows);
            let tight: Vec<u8> =
                slot.chunks(stride).flat_map(|r| r[..row_bytes].to_vec()).collect();
            for stream in [false, true] {
                let mut to = vec![0; tight.len()];
                // SAFETY: `slot` has as many rows as `to`, `stride` bytes apart.
                unsafe { copy_plane(slot.as_ptr(), stride, &mut to, row_bytes, stream) };
                assert!(to == tight, "{rows} rows of {row_bytes} in {stride}");
            }
        }
    }

    #[test]
    fn lengths_around_several_streams() {
        let bytes = source(600 << 10);
        for len in [131_071, 131_072, 131_199, 131_200, 300_001, 524_288, 600_000] {
            for start in [0, 1, 48] {
                for stream in [false, true] {
                    let from = &bytes[start..][..len];
                    // SAFETY: as above.
                    check(from, start / 3, |from, to| unsafe { copy_racing(from, to, stream) });
                }
            }
        }
    }
}
