//! The dispatches of the last second of published time.

use crate::rate::NS_PER_S;

/// The number of cells in a second.
const CELLS: u32 = 95;

/// Length of a cell. Rounded up, so that `CELLS` of them are at least a second.
pub(crate) const CELL_NS: u64 = NS_PER_S.div_ceil(CELLS as u64);

/// The most cells that a second overlaps: one more than its number, since it can begin inside one.
const TOUCHED: u32 = CELLS + 1;

/// Age from which a dispatch shares no second with a frame published now, wherever in its cell it was.
pub(crate) const FORGOTTEN_NS: u64 = TOUCHED as u64 * CELL_NS;

/// The cells of published time that hold a dispatch, counted back from the cell of the newest one.
/// The owner keeps the time of the newest.
///
/// Cells are fixed in time. A cell that overlaps the last second counts as a whole, so a second is
/// never taken for emptier than it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Recent {
    /// Bit `n`: the cell `n` cells before the newest.
    newer: u64,
    /// The same for the cells from 64 on.
    older: u32,
    /// The low byte is the number of cells. The whole value is the time after the newest dispatch, in
    /// nanoseconds, at which the oldest stops counting; the low byte makes it late by less than 512
    /// ns.
    leaves: u32,
}

impl Recent {
    /// No dispatch.
    pub(crate) const NONE: Self = Self { newer: 0, older: 0, leaves: 0 };

    /// Whether there was no dispatch yet.
    #[inline(always)]
    pub(crate) const fn is_empty(self) -> bool {
        self.count() == 0
    }

    #[inline(always)]
    const fn count(self) -> u8 {
        self.leaves.to_le_bytes()[0]
    }

    /// Whether, with one more frame published at `now_ns`, each second still has at most `most`
    /// frames and each cell at most one. The newest dispatch was at `newest_ns`.
    #[inline(always)]
    pub(crate) const fn allows(self, newest_ns: u64, now_ns: u64, most: u8) -> bool {
        // Signed: after time went back, there is no room until it has caught up.
        let since_ns = now_ns.wrapping_sub(newest_ns) as i64;
        let count = self.count();
        if count > most {
            // Overfull, because the limit was lowered: wait until all have expired.
            since_ns >= FORGOTTEN_NS as i64
        } else {
            // Exactly full: wait until the oldest has expired.
            let room_ns = if count == most { self.leaves as i64 } else { CELL_NS as i64 };
            since_ns >= room_ns
        }
    }

    /// Adds a frame published at `now_ns` to dispatches of which the newest was at `newest_ns`; also
    /// returns the new time of the newest. A time that went back by more than is remembered here belongs
    /// to another clock if it `may_be_another_clock`, and otherwise to a frame that is recorded late.
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
            // The age of the earlier dispatches is unknown: they count as immediately preceding.
            return (Self::of(add(cells << 1, 1), now_ns), now_ns);
        }
        let age = newest_ns / CELL_NS - now_ns / CELL_NS;
        let cells = if age < TOUCHED as u64 { add(cells, 1 << age) } else { cells };
        (Self::of(cells, newest_ns), newest_ns)
    }

    const fn of(cells: u128, newest_ns: u64) -> Self {
        let cells = cells & ((1 << TOUCHED) - 1);
        let oldest = u128::BITS - 1 - cells.leading_zeros();
        // At most `FORGOTTEN_NS`, which stays below 2^32 with the low byte added.
        let leaves_ns = (TOUCHED - oldest) * CELL_NS as u32 - (newest_ns % CELL_NS) as u32;
        // Never before the next frame may come at all.
        let leaves_ns = if leaves_ns < CELL_NS as u32 { CELL_NS as u32 } else { leaves_ns };
        Self {
            newer: cells as u64,
            older: (cells >> 64) as u32,
            leaves: ((leaves_ns + 255) & !255) | cells.count_ones(),
        }
    }
}

/// Sets `cell`. If it is set already, which no decision causes, sets the nearest earlier free cell.
const fn add(cells: u128, cell: u128) -> u128 {
    if cells & cell == 0 { cells | cell } else { cells | (cells + cell) }
}

/// A subscription has room for 16 bytes of it.
const _: () = assert!(size_of::<Recent>() == 16 && FORGOTTEN_NS + 512 < u32::MAX as u64);
