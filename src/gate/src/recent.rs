//! What was dispatched in the last second of published time.

use crate::rate::NS_PER_S;

/// A second is divided into so many cells.
const CELLS: u32 = 95;

/// Length of a cell. Rounded up, so that `CELLS` of them are no less than a second.
pub(crate) const CELL_NS: u64 = NS_PER_S.div_ceil(CELLS as u64);

/// A second that begins anywhere touches one cell more than it has.
const TOUCHED: u32 = CELLS + 1;

/// What is this old has left every second that a frame of now can lie in, wherever in its cell it was.
pub(crate) const FORGOTTEN_NS: u64 = TOUCHED as u64 * CELL_NS;

/// The cells of published time in which something was dispatched, back from that of the newest
/// dispatch, whose time its owner keeps.
///
/// The cells lie fixed in time. One that lies in the last second with a part counts as a whole, so a
/// second is never found emptier than it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Recent {
    /// Bit `n`: the cell `n` before the newest.
    newer: u64,
    /// The same of the cells from 64 on.
    older: u32,
    /// In the low byte how many there are. The whole is how many nanoseconds after the newest dispatch
    /// the oldest counts no more, by less than 512 too late for that byte.
    leaves: u32,
}

impl Recent {
    /// Nothing yet.
    pub(crate) const NONE: Self = Self { newer: 0, older: 0, leaves: 0 };

    /// Whether nothing was dispatched yet.
    #[inline(always)]
    pub(crate) const fn is_empty(self) -> bool {
        self.count() == 0
    }

    #[inline(always)]
    const fn count(self) -> u8 {
        self.leaves.to_le_bytes()[0]
    }

    /// Whether one frame more, published at `now_ns` where the newest was at `newest_ns`, leaves each
    /// second with at most `most` frames and each cell with one.
    #[inline(always)]
    pub(crate) const fn allows(self, newest_ns: u64, now_ns: u64, most: u8) -> bool {
        // Signed: before time that went back has caught up, there is no room.
        let since_ns = now_ns.wrapping_sub(newest_ns) as i64;
        let count = self.count();
        if count > most {
            // Overfull, as a limit finds it that was lowered: when all have left.
            since_ns >= FORGOTTEN_NS as i64
        } else {
            // Just full: when the oldest has left.
            let room_ns = if count == most { self.leaves as i64 } else { CELL_NS as i64 };
            since_ns >= room_ns
        }
    }

    /// With a frame that was published at `now_ns`, where the newest was at `newest_ns`; and the time of
    /// the newest now. A time that went back by more than is remembered here is that of another clock
    /// if it `may_be_another_clock`, and otherwise that of a frame that is told late.
    pub(crate) const fn with(
        self,
        newest_ns: u64,
        now_ns: u64,
        may_be_another_clock: bool,
    ) -> (Self, u64) {
        if self.is_empty() {
            return (Self::of(1, now_ns), now_ns);
        }
        let cells = ((self.older as u128) << 64) | self.newer as u128;
        if now_ns >= newest_ns {
            let passed = now_ns / CELL_NS - newest_ns / CELL_NS;
            let cells = if passed < TOUCHED as u64 { cells << passed } else { 0 };
            return (Self::of(add(cells, 1), now_ns), now_ns);
        }
        if may_be_another_clock && newest_ns - now_ns >= FORGOTTEN_NS {
            // How long ago the rest was can't be known: it counts as if it had been just before.
            return (Self::of(add(cells << 1, 1), now_ns), now_ns);
        }
        let age = newest_ns / CELL_NS - now_ns / CELL_NS;
        let cells = if age < TOUCHED as u64 { add(cells, 1 << age) } else { cells };
        (Self::of(cells, newest_ns), newest_ns)
    }

    const fn of(cells: u128, newest_ns: u64) -> Self {
        let cells = cells & ((1 << TOUCHED) - 1);
        let oldest = u128::BITS - 1 - cells.leading_zeros();
        // At most `FORGOTTEN_NS`, which is below 2^32 with all that is added.
        let leaves_ns = (TOUCHED - oldest) * CELL_NS as u32 - (newest_ns % CELL_NS) as u32;
        // And never before there may be another frame at all.
        let leaves_ns = if leaves_ns < CELL_NS as u32 { CELL_NS as u32 } else { leaves_ns };
        Self {
            newer: cells as u64,
            older: (cells >> 64) as u32,
            leaves: ((leaves_ns + 255) & !255) | cells.count_ones(),
        }
    }
}

/// With `cell`; if that is taken, as no decision has it, with the first before it that is not.
const fn add(cells: u128, cell: u128) -> u128 {
    if cells & cell == 0 { cells | cell } else { cells | (cells + cell) }
}

/// A subscription has room for no more than these bytes of it.
const _: () = assert!(size_of::<Recent>() == 16 && FORGOTTEN_NS + 512 < u32::MAX as u64);
