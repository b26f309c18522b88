//! The number of slots and the lease of a ring.

use std::time::Duration;

use crate::layout::MAX_SLOTS;

/// The rate assumed for a camera that states none.
const ASSUMED: FrameRate = FrameRate { num: 30, den: 1 };
/// The fewest slots that are chosen by default.
const MIN_SLOTS: u32 = 4;

/// A nominal frame rate: `num / den` frames per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    /// Frames in `den` seconds.
    pub num: u32,
    /// Seconds.
    pub den: u32,
}

/// Slots and lease of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingOptions {
    /// Slots, 1 to 1024.
    pub slots: u32,
    /// How long a published frame is guaranteed to stay in its slot.
    pub lease: Duration,
    /// The camera's nominal frame rate, if it is known.
    pub frame_rate: Option<FrameRate>,
}

impl RingOptions {
    /// Chooses options for a camera of `frame_rate`, so that the ring holds the frames of the last
    /// `hold` while up to `in_flight` frames are copied.
    ///
    /// Slots: `max(4, ceil(fps x hold))` unless `slots` is given. Lease: half of `hold`, and never more
    /// than `(slots - in_flight - 1) / fps`, the time after which a steady camera needs the slot again.
    /// The other half absorbs bursts: frames that arrive late and together need free slots.
    #[must_use]
    pub fn choose(
        frame_rate: Option<FrameRate>,
        hold: Duration,
        slots: Option<u32>,
        in_flight: u32,
    ) -> Self {
        let known = frame_rate.filter(|rate| rate.num > 0 && rate.den > 0);
        let FrameRate { num, den } = known.unwrap_or(ASSUMED);
        let (num, den, hold_ns) = (u128::from(num), u128::from(den), hold.as_nanos());
        let wanted = (num * hold_ns).div_ceil(den * 1_000_000_000);
        let slots = slots
            .unwrap_or(wanted.clamp(u128::from(MIN_SLOTS), u128::from(MAX_SLOTS)) as u32)
            .clamp(1, MAX_SLOTS);
        let spare = u128::from(slots.saturating_sub(in_flight + 1));
        let bound = spare * den * 1_000_000_000 / num;
        let lease_ns = u64::try_from(bound.min(hold_ns / 2)).unwrap_or(u64::MAX);
        Self { slots, lease: Duration::from_nanos(lease_ns), frame_rate: known }
    }

    /// The lease in nanoseconds, for `frame.meta`.
    pub(super) fn lease_ns(&self) -> u64 {
        u64::try_from(self.lease.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_millis(500);

    fn fps(num: u32, den: u32) -> Option<FrameRate> {
        Some(FrameRate { num, den })
    }

    #[test]
    fn slots_cover_the_hold_time() {
        let at = |num, den| RingOptions::choose(fps(num, den), HOLD, None, 1).slots;
        assert_eq!(at(25, 1), 13);
        assert_eq!(at(30_000, 1001), 15);
        assert_eq!(at(5, 1), 4);
        assert_eq!(at(240, 1), 120);
        assert_eq!(RingOptions::choose(None, HOLD, None, 1).slots, 15);
        assert_eq!(RingOptions::choose(fps(0, 0), HOLD, None, 1).frame_rate, None);
    }

    #[test]
    fn lease_is_half_the_hold_unless_the_ring_is_too_short() {
        let lease =
            |slots, num| RingOptions::choose(fps(num, 1), HOLD, Some(slots), 1).lease.as_millis();
        assert_eq!(lease(13, 25), 250);
        assert_eq!(lease(4, 25), 80);
        assert_eq!(lease(2, 25), 0);
        assert_eq!(lease(1, 25), 0);
        assert_eq!(lease(4, 1), 250);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let o = RingOptions::choose(fps(u32::MAX, 1), Duration::MAX, Some(u32::MAX), u32::MAX - 1);
        assert_eq!(o.slots, MAX_SLOTS);
        let o = RingOptions::choose(fps(1, u32::MAX), Duration::MAX, None, 1);
        assert!(o.slots <= MAX_SLOTS);
    }
}
