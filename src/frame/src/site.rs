//! Every place where the frame protocol orders memory, by name.
//!
//! A test that can't fail shows nothing. Under the model checker, and with the feature `mutants`, one
//! place or several can be made to order nothing, and a test then has to fail. In every other build a
//! site is a constant, and what is written here compiles to the bare fence or ordering.
//! `docs/design/ring.md` has the table of what catches which.

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
    /// Acquire fence behind the first load of an entry's sequence.
    SlotRead,
    /// Acquire fence before the second load of an entry's sequence.
    SlotStill,
    /// Release fence before the newest frame's line is stored. Partner:
    /// [`HeadStill`](Self::HeadStill).
    HeadStore,
    /// Release store of the head's even sequence. Partner: [`HeadRead`](Self::HeadRead).
    HeadClose,
    /// Acquire fence behind the first load of the head's sequence.
    HeadRead,
    /// Acquire fence before the second load of the head's sequence.
    HeadStill,
    /// Release addition to the publish counter. Partner: [`CountLoad`](Self::CountLoad).
    CountAdd,
    /// Acquire fence behind a waiting reader's load of the publish counter.
    CountLoad,
    /// Release store of a ring's last state. Partner: [`StateLoad`](Self::StateLoad).
    StateStore,
    /// Acquire fence behind a reader's load of the state.
    StateLoad,
    /// Release store that says that copying goes on. Partner: [`ResumeLoad`](Self::ResumeLoad).
    ResumeStore,
    /// Acquire fence behind a reader's load of whether copying goes on.
    ResumeLoad,
    /// Release store that frees a slot. Partners: [`FreeLoad`](Self::FreeLoad) and
    /// [`RestLoad`](Self::RestLoad).
    FreeStore,
    /// Acquire load with which the claiming thread sees a slot free.
    FreeLoad,
    /// Release store by which the claiming thread says that it claims no more. Partner:
    /// [`LeaveLoad`](Self::LeaveLoad).
    LeaveStore,
    /// Acquire load with which the owner of the pages sees that nobody claims slots any more.
    LeaveLoad,
    /// Acquire load with which the owner of the pages sees a slot free: what was copied into it came before.
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
        /// All of them.
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

    /// Makes these sites, and no others, order nothing from now on, in the whole process.
    pub fn weaken(sites: &[Site]) {
        let bits = sites.iter().fold(0, |bits, &site| bits | 1 << site as u32);
        WEAKENED.store(bits, Ordering::Relaxed);
    }
}

#[cfg(any(loom, feature = "mutants"))]
pub use mutants::weaken;
