//! Names for every place where the frame protocol orders memory.
//!
//! A test that can't fail proves nothing. Under the model checker, and with the feature `mutants`,
//! sites can be switched off one by one or together, and a test then has to fail. In every other
//! build a site is a constant, and its methods compile to the bare fence or ordering.
//! `docs/design/ring.md` has a table of the tests that catch each site.

#![allow(unreachable_pub, reason = "the tests' feature exports it")]

use std::sync::atomic::Ordering;

use crate::sync::{drain_streaming_stores, fence};

/// A place where the protocol orders memory. Each names its partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Site {
    /// Release fence before a thread stores into a slot. Partner: [`SlotStill`](Self::SlotStill).
    SlotStore,
    /// Release fence before a thread stores into an entry. Partner: [`SlotStill`](Self::SlotStill).
    EntryStore,
    /// `sfence` before streaming stores into a slot: they would overtake the odd sequence.
    SlotOpenDrain,
    /// `sfence` after streaming stores into a slot: the even sequence would overtake them.
    SlotCloseDrain,
    /// Release store of an entry's even sequence. Partner: [`SlotRead`](Self::SlotRead).
    SlotClose,
    /// Acquire fence after the first load of an entry's sequence.
    SlotRead,
    /// Acquire fence before the second load of an entry's sequence.
    SlotStill,
    /// Release fence before a thread stores into the header's line of the newest frame. Partner:
    /// [`HeadStill`](Self::HeadStill).
    HeadStore,
    /// Release store of the head's even sequence. Partner: [`HeadRead`](Self::HeadRead).
    HeadClose,
    /// Acquire fence after the first load of the head's sequence.
    HeadRead,
    /// Acquire fence before the second load of the head's sequence.
    HeadStill,
    /// Release addition to the publish counter. Partner: [`CountLoad`](Self::CountLoad).
    CountAdd,
    /// Acquire fence after a waiting reader's load of the publish counter.
    CountLoad,
    /// Release store of a ring's last state. Partner: [`StateLoad`](Self::StateLoad).
    StateStore,
    /// Acquire fence after a reader's load of the state.
    StateLoad,
    /// Release store that marks copying as running. Partner: [`ResumeLoad`](Self::ResumeLoad).
    ResumeStore,
    /// Acquire fence after a reader's load of whether copying is running.
    ResumeLoad,
    /// Release store that frees a slot. Partners: [`FreeLoad`](Self::FreeLoad) and
    /// [`RestLoad`](Self::RestLoad).
    FreeStore,
    /// Acquire load by which the claiming thread finds a slot free.
    FreeLoad,
    /// Release store by which the claiming thread ends its claims. Partner:
    /// [`LeaveLoad`](Self::LeaveLoad).
    LeaveStore,
    /// Acquire load by which the owner of the pages finds that claims have ended.
    LeaveLoad,
    /// Acquire load by which the owner of the pages finds a slot free: copies into it came before.
    RestLoad,
}

impl Site {
    /// The fence of this site.
    #[inline(always)]
    pub(crate) fn fence(self, order: Ordering) {
        if self.holds() {
            fence(order);
        }
    }

    /// The ordering of this site's load, store or addition.
    #[inline(always)]
    pub(crate) fn order(self, order: Ordering) -> Ordering {
        if self.holds() { order } else { Ordering::Relaxed }
    }

    /// The `sfence` of this site.
    #[inline(always)]
    pub(crate) fn drain(self) {
        if self.holds() {
            drain_streaming_stores();
        }
    }

    #[cfg(not(any(loom, feature = "mutants")))]
    #[inline(always)]
    const fn holds(self) -> bool {
        true
    }
}

#[cfg(any(loom, feature = "mutants"))]
mod mutants {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Site;

    static WEAKENED: AtomicU32 = AtomicU32::new(0);

    impl Site {
        /// Every site.
        pub const ALL: [Self; 22] = [
            Self::SlotStore,
            Self::EntryStore,
            Self::SlotOpenDrain,
            Self::SlotCloseDrain,
            Self::SlotClose,
            Self::SlotRead,
            Self::SlotStill,
            Self::HeadStore,
            Self::HeadClose,
            Self::HeadRead,
            Self::HeadStill,
            Self::CountAdd,
            Self::CountLoad,
            Self::StateStore,
            Self::StateLoad,
            Self::ResumeStore,
            Self::ResumeLoad,
            Self::FreeStore,
            Self::FreeLoad,
            Self::LeaveStore,
            Self::LeaveLoad,
            Self::RestLoad,
        ];

        #[inline]
        pub(super) fn holds(self) -> bool {
            WEAKENED.load(Ordering::Relaxed) & 1 << self as u32 == 0
        }
    }

    /// Switches off exactly these sites, in the whole process.
    pub fn weaken(sites: &[Site]) {
        let bits = sites.iter().fold(0, |bits, &site| bits | 1 << site as u32);
        WEAKENED.store(bits, Ordering::Relaxed);
    }
}

#[cfg(any(loom, feature = "mutants"))]
pub use mutants::weaken;
