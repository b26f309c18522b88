//! Copying out of memory that another process may be writing.
//!
//! House rules. To the language such a read is a data race, which no ordinary load and no `memcpy` may
//! have. Inline assembly may: it does what the processor does, and the compiler assumes nothing of what it
//! read. Elsewhere volatile words are the nearest thing. What was read counts only after the sequence was
//! seen unchanged.

/// Copies as many bytes as `to` takes.
///
/// # Safety
/// `from` points to that many mapped bytes, which do not overlap `to`.
pub(super) unsafe fn copy_racing(from: *const u8, to: &mut [u8]) {
    // SAFETY: the caller's promise, passed on.
    let done = unsafe { copy_blocks(from, to) };
    // SAFETY: the rest of what the caller promised.
    unsafe { copy_words(from.add(done), &mut to[done..]) }
}

/// Copies whole blocks and says how many bytes that were.
///
/// # Safety
/// As [`copy_racing`].
#[cfg(target_arch = "x86_64")]
unsafe fn copy_blocks(from: *const u8, to: &mut [u8]) -> usize {
    const BLOCK: usize = 128;
    let blocks = to.len() / BLOCK;
    if blocks > 0 {
        // SAFETY: that many blocks are readable by the caller's promise and writable in `to`; AVX is used
        // only where it was found.
        unsafe {
            if is_x86_feature_detected!("avx") {
                copy_blocks_avx(from, to.as_mut_ptr(), blocks);
            } else {
                copy_blocks_sse2(from, to.as_mut_ptr(), blocks);
            }
        }
    }
    blocks * BLOCK
}

/// No block copy is written for this processor.
///
/// # Safety
/// None to keep.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_blocks(_from: *const u8, _to: &mut [u8]) -> usize {
    0
}

/// # Safety
/// `blocks` times 128 bytes are readable at `from` and writable at `to`; the processor has AVX.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn copy_blocks_avx(from: *const u8, to: *mut u8, blocks: usize) {
    // SAFETY: the caller's promise; registers that are changed are declared.
    unsafe {
        std::arch::asm!(
            "2:",
            "vmovdqu {a}, [{from}]",
            "vmovdqu {b}, [{from} + 32]",
            "vmovdqu {c}, [{from} + 64]",
            "vmovdqu {d}, [{from} + 96]",
            "vmovdqu [{to}], {a}",
            "vmovdqu [{to} + 32], {b}",
            "vmovdqu [{to} + 64], {c}",
            "vmovdqu [{to} + 96], {d}",
            "add {from}, 128",
            "add {to}, 128",
            "dec {n}",
            "jnz 2b",
            "vzeroupper",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            n = inout(reg) blocks => _,
            a = out(ymm_reg) _, b = out(ymm_reg) _, c = out(ymm_reg) _, d = out(ymm_reg) _,
            options(nostack),
        );
    }
}

/// # Safety
/// `blocks` times 128 bytes are readable at `from` and writable at `to`.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_blocks_sse2(from: *const u8, to: *mut u8, blocks: usize) {
    // SAFETY: the caller's promise; SSE2 is part of x86-64; registers that are changed are declared.
    unsafe {
        std::arch::asm!(
            "2:",
            "movdqu {a}, [{from}]",
            "movdqu {b}, [{from} + 16]",
            "movdqu {c}, [{from} + 32]",
            "movdqu {d}, [{from} + 48]",
            "movdqu [{to}], {a}",
            "movdqu [{to} + 16], {b}",
            "movdqu [{to} + 32], {c}",
            "movdqu [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "dec {n}",
            "jnz 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            n = inout(reg) blocks * 2 => _,
            a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

/// # Safety
/// As [`copy_racing`].
unsafe fn copy_words(from: *const u8, to: &mut [u8]) {
    const WORD: usize = size_of::<u64>();
    let (words, rest) = to.as_chunks_mut::<WORD>();
    let whole = words.len() * WORD;
    for (i, word) in words.iter_mut().enumerate() {
        // SAFETY: within the caller's promise; the packed read has no alignment to keep.
        let value = unsafe { from.add(i * WORD).cast::<Unaligned>().read_volatile() };
        *word = value.0.to_ne_bytes();
    }
    for (i, byte) in rest.iter_mut().enumerate() {
        // SAFETY: within the caller's promise.
        *byte = unsafe { from.add(whole + i).read_volatile() };
    }
}

/// A word at any address.
#[repr(C, packed)]
struct Unaligned(u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_alignment() {
        let from: Vec<u8> = (0..1200u32).map(|i| (i * 7 + i / 256) as u8).collect();
        for start in 0..9 {
            for len in (0..300).chain([511, 512, 513, 1024]) {
                let mut to = vec![0xee; len + 1];
                // SAFETY: `start + len` is within `from`.
                unsafe { copy_racing(from.as_ptr().add(start), &mut to[..len]) };
                assert!(to[..len] == from[start..start + len], "{start} {len}");
                assert_eq!(to[len], 0xee);
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn both_block_copies_agree() {
        let from: Vec<u8> = (0..1024u32).map(|i| (i ^ i >> 3) as u8).collect();
        let mut to = vec![0; 1024];
        // SAFETY: 8 blocks of 128 bytes on both sides.
        unsafe { copy_blocks_sse2(from.as_ptr(), to.as_mut_ptr(), 8) };
        assert_eq!(from, to);
    }
}
