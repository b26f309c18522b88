//! The sequence protocol that makes a frame whole or refused.
//!
//! House rules. A sequence is odd while what it guards is being written. The writer alone stores;
//! readers only load, because their mapping is read-only and an atomic read-modify-write faults there.
//! Each ordering below names its partner; `docs/design/ring.md` has the argument.

use crate::sync::{AtomicU64, Ordering, fence};

/// Makes stores that bypass the cache visible before what follows.
///
/// Non-temporal stores are ordered by `sfence` alone: with a release store in its place, 10 to 45 % of
/// the reads that a reader accepted were torn (facts of this project; Intel SDM 3A 8.2.2).
#[inline]
fn drain_streaming_stores() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `sfence` is part of SSE, which every x86-64 has, and touches no memory of ours.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Opens a guarded region: its sequence becomes odd before any store of the region. Returns the odd
/// value.
#[inline]
pub(crate) fn begin_write(sequence: &AtomicU64) -> u64 {
    // The writer is alone, so its own last value is what it loads.
    let odd = sequence.load(Ordering::Relaxed) | 1;
    sequence.store(odd, Ordering::Relaxed);
    // Partner: the acquire fence in `still`. Whoever saw a store of the region sees the odd value.
    fence(Ordering::Release);
    // The same for streaming stores, which a fence of the language does not order.
    drain_streaming_stores();
    odd
}

/// Closes a guarded region: all its stores, streaming ones included, come before the even value.
#[inline]
pub(crate) fn end_write(sequence: &AtomicU64, odd: u64) {
    drain_streaming_stores();
    // Partner: the acquire fence in `begin_read`.
    sequence.store(odd.wrapping_add(1), Ordering::Release);
}

/// The sequence of a region at rest, or `None` while it is being written.
#[inline]
pub(crate) fn begin_read(sequence: &AtomicU64) -> Option<u64> {
    // Relaxed, because only relaxed atomic loads are defined on read-only memory; the fence makes it
    // an acquire. Partner: the release store in `end_write`.
    let value = sequence.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    (value & 1 == 0).then_some(value)
}

/// Whether nothing was written since `begin_read` gave `value`: what was read in between is whole.
#[inline]
pub(crate) fn still(sequence: &AtomicU64, value: u64) -> bool {
    // Partner: the release fence in `begin_write`.
    fence(Ordering::Acquire);
    sequence.load(Ordering::Relaxed) == value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_while_written_even_after() {
        let sequence = AtomicU64::new(0);
        let before = begin_read(&sequence).unwrap();
        let odd = begin_write(&sequence);
        assert_eq!(begin_read(&sequence), None);
        assert!(!still(&sequence, before));
        end_write(&sequence, odd);
        assert_eq!(begin_read(&sequence), Some(2));
        assert!(still(&sequence, 2));
    }

    #[test]
    fn a_region_opened_twice_stays_odd() {
        let sequence = AtomicU64::new(4);
        assert_eq!(begin_write(&sequence), 5);
        assert_eq!(begin_write(&sequence), 5);
    }
}
