//! The sequence protocol: a frame is read whole or refused.
//!
//! House rules. A sequence is odd while its region is being written. Only the writer stores; readers
//! only load, because their mapping is read-only and an atomic read-modify-write faults there. A
//! release fence orders only the stores of its own thread, and a slot is claimed by one thread and
//! written by another: so the storing thread issues the fence itself, before its first store. Each
//! [`Site`] names its partner; `docs/design/ring.md` has the argument.

use crate::site::Site;
use crate::sync::{ModelU64, Ordering, load_own};

/// A kind of region that a sequence guards, and the sites of its protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    store: Site,
    close: Site,
    read: Site,
    still: Site,
}

/// An entry with its slot.
pub(crate) const SLOT: Region = Region {
    store: Site::EntryStore,
    close: Site::SlotClose,
    read: Site::SlotRead,
    still: Site::SlotStill,
};

/// The header's cache line of the newest frame.
pub(crate) const HEAD: Region = Region {
    store: Site::HeadStore,
    close: Site::HeadClose,
    read: Site::HeadRead,
    still: Site::HeadStill,
};

/// Marks a region as being written: its sequence becomes odd. Returns the odd value.
///
/// Each thread that then stores into the region calls [`Region::before_stores`] first.
#[inline]
pub(crate) fn begin_write(sequence: &ModelU64) -> u64 {
    let odd = load_own(sequence) | 1;
    sequence.store(odd, Ordering::Relaxed);
    odd
}

impl Region {
    /// A reader that sees a store of this thread after this call sees the odd sequence.
    #[inline]
    pub(crate) fn before_stores(self) {
        // Partner: the acquire fence in `still`.
        self.store.fence(Ordering::Release);
    }

    /// Ends the write: all its ordinary stores come before the even value.
    #[inline]
    pub(crate) fn end_write(self, sequence: &ModelU64, odd: u64) {
        // Partner: the acquire fence in `begin_read`.
        sequence.store(odd.wrapping_add(1), self.close.order(Ordering::Release));
    }

    /// The sequence of a region, or `None` while the region is being written.
    #[inline]
    pub(crate) fn begin_read(self, sequence: &ModelU64) -> Option<u64> {
        // Relaxed, because only relaxed atomic loads are defined on read-only memory; the fence makes
        // it an acquire. Partner: the release store in `end_write`.
        let value = sequence.load(Ordering::Relaxed);
        self.read.fence(Ordering::Acquire);
        (value & 1 == 0).then_some(value)
    }

    /// Whether nothing was written since `begin_read` returned `value`: what was read in between is
    /// whole.
    #[inline]
    pub(crate) fn still(self, sequence: &ModelU64, value: u64) -> bool {
        // Partner: the release fence in `before_stores`.
        self.still.fence(Ordering::Acquire);
        sequence.load(Ordering::Relaxed) == value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_odd_while_written_and_even_after() {
        let sequence = ModelU64::new(0);
        let before = SLOT.begin_read(&sequence).unwrap();
        let odd = begin_write(&sequence);
        assert_eq!(SLOT.begin_read(&sequence), None);
        assert!(!SLOT.still(&sequence, before));
        SLOT.end_write(&sequence, odd);
        assert_eq!(SLOT.begin_read(&sequence), Some(2));
        assert!(SLOT.still(&sequence, 2));
    }

    #[test]
    fn a_region_opened_twice_stays_odd() {
        let sequence = ModelU64::new(4);
        assert_eq!(begin_write(&sequence), 5);
        assert_eq!(begin_write(&sequence), 5);
    }
}
