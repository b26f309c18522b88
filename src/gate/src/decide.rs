//! The decision and its inputs.

use core::fmt;

use crate::limit::Limit;
use crate::recent::{FORGOTTEN_NS, Recent};

/// What the gate knows of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Rises with each change of size, format, color or writer.
    pub epoch: u64,
    /// Rises with each frame.
    pub frame_id: u64,
    /// The time on which the interval between frames is measured, in nanoseconds:
    /// [`Timeline::admit`](crate::Timeline::admit) returned it when the frame was admitted.
    pub gate_ns: u64,
    /// When the frame was published, in nanoseconds: no second of this time holds more frames than the
    /// maximum. Before publication (in the tap) it is the time of admission, and the maximum holds for
    /// that time.
    pub published_ns: u64,
}

/// What a subscription remembers: the last frame dispatched to it, and the 95ths of the last second
/// that hold others. The default is a subscription without a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// After dispatches that were recorded out of order, `published_ns` is the latest of theirs.
    last: Stamp,
    recent: Recent,
}

/// The result of [`decide()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The subscription may have the frame.
    Allow(Allow),
    /// The subscription may not have the frame.
    Skip(Skip),
}

/// Why a frame is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allow {
    /// The subscription has no maximum.
    Unlimited,
    /// No frame was dispatched before.
    FirstFrame,
    /// An interval has passed since the last dispatched frame, and the last second has room.
    // The same byte as `Skip::SecondFull`, so that the last comparison of a decision selects only the
    // outer variant.
    Elapsed = 6,
    /// A later epoch whose clock starts below the times dispatched before: there is nothing to
    /// compare.
    NewTimeline,
}

/// Why a frame is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// The maximum is not a positive number.
    InvalidLimit,
    /// The frame's epoch is older than that of the last dispatched frame.
    OldEpoch,
    /// This is the last dispatched frame.
    SameFrame,
    /// One of the frame's times lies before that of the last dispatched frame: in the same epoch, or
    /// in a later one by so little that the clock soon catches up.
    TimeWentBack,
    /// Less than an interval has passed since the last dispatched frame, or less than a 95th of a
    /// second lies between the two publications.
    TooSoon,
    /// An interval has passed, but the frame's id is closer than the stride.
    Stride,
    /// An interval has passed, but the subscription's frames published within the last second
    /// already reach the maximum.
    SecondFull,
}

impl Default for State {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl State {
    /// The highest epoch: whether there was a frame before is then checked only for frames whose epoch
    /// seems too old.
    const NOTHING: Self = Self {
        last: Stamp { epoch: u64::MAX, frame_id: 0, gate_ns: 0, published_ns: 0 },
        recent: Recent::NONE,
    };

    /// Records a dispatch.
    ///
    /// Of dispatches that are recorded out of order, the latest counts: forgetting it could only allow too
    /// much.
    pub const fn dispatched(&mut self, stamp: Stamp) {
        let last = self.last;
        let another_epoch = stamp.epoch > last.epoch;
        let (recent, published_ns) =
            self.recent.with(last.published_ns, stamp.published_ns, another_epoch);
        let recorded_late = !self.recent.is_empty()
            && !another_epoch
            && (stamp.epoch < last.epoch || stamp.gate_ns < last.gate_ns);
        self.last = if recorded_late { last } else { stamp };
        self.last.published_ns = published_ns;
        self.recent = recent;
    }

    /// The last frame dispatched.
    #[must_use]
    pub const fn last(&self) -> Option<Stamp> {
        if self.recent.is_empty() { None } else { Some(self.last) }
    }
}

/// Decides whether a subscription in `state` with `limit` may have the frame of `stamp`.
///
/// Checks run in the order of the specification: no maximum, invalid maximum, first frame, elapsed
/// time.
///
/// The interval is measured on `gate_ns`, as exactly as whole nanoseconds allow. Both times are
/// rounded, so the true time between them may be up to a nanosecond longer: an interval can have passed
/// as soon as the difference reaches the interval rounded down. Frames at exactly 30 per second read
/// 33,333,333 ns apart two times out of three, and none of them is too soon at 30.
///
/// In addition, no second of `published_ns`, wherever it begins, gets more frames than the maximum
/// rounded up, bursts included.
#[inline]
#[must_use]
pub const fn decide(state: &State, limit: &Limit, stamp: Stamp) -> Decision {
    let interval_ns = match limit.interval_ns() {
        Some(interval_ns) => interval_ns,
        None if limit.is_unlimited() => return Decision::Allow(Allow::Unlimited),
        None => return Decision::Skip(Skip::InvalidLimit),
    };
    let last = &state.last;
    let elapsed_ns = if stamp.epoch == last.epoch {
        if stamp.frame_id == last.frame_id {
            return Decision::Skip(Skip::SameFrame);
        }
        match stamp.gate_ns.checked_sub(last.gate_ns) {
            Some(elapsed_ns) => elapsed_ns,
            None => return Decision::Skip(Skip::TimeWentBack),
        }
    } else if stamp.epoch < last.epoch {
        return if state.recent.is_empty() {
            Decision::Allow(Allow::FirstFrame)
        } else {
            Decision::Skip(Skip::OldEpoch)
        };
    } else if stamp.published_ns < last.published_ns {
        // Back by no more than is remembered: the same clock may have been set back, and soon
        // catches up. Back by more: another clock, which might never catch up.
        return if last.published_ns - stamp.published_ns < FORGOTTEN_NS {
            Decision::Skip(Skip::TimeWentBack)
        } else {
            Decision::Allow(Allow::NewTimeline)
        };
    } else {
        // A time line that restarts at a lower value counts as one that starts much later: the
        // difference wraps.
        stamp.gate_ns.wrapping_sub(last.gate_ns)
    };
    if elapsed_ns < interval_ns {
        Decision::Skip(Skip::TooSoon)
    } else if stamp.frame_id.wrapping_sub(last.frame_id) < limit.stride as u64 {
        Decision::Skip(Skip::Stride)
    } else if state.recent.allows(last.published_ns, stamp.published_ns, limit.most) {
        Decision::Allow(Allow::Elapsed)
    } else {
        Decision::Skip(Skip::SecondFull)
    }
}

impl Decision {
    /// Whether the frame is allowed.
    #[inline]
    #[must_use]
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

impl Allow {
    /// Every reason to allow a frame.
    pub const ALL: [Self; 4] =
        [Self::Unlimited, Self::FirstFrame, Self::Elapsed, Self::NewTimeline];

    /// The reason as one word, as in reports and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unlimited => "unlimited",
            Self::FirstFrame => "first_frame",
            Self::Elapsed => "elapsed",
            Self::NewTimeline => "new_timeline",
        }
    }
}

impl Skip {
    /// Every reason to skip a frame.
    pub const ALL: [Self; 7] = [
        Self::InvalidLimit,
        Self::OldEpoch,
        Self::SameFrame,
        Self::TimeWentBack,
        Self::TooSoon,
        Self::Stride,
        Self::SecondFull,
    ];

    /// The reason as one word, as in reports and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidLimit => "invalid_limit",
            Self::OldEpoch => "old_epoch",
            Self::SameFrame => "same_frame",
            Self::TimeWentBack => "time_went_back",
            Self::TooSoon => "too_soon",
            Self::Stride => "stride",
            Self::SecondFull => "second_full",
        }
    }
}

impl fmt::Display for Decision {
    /// Prints `allow elapsed`, `skip too_soon`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow(why) => write!(f, "allow {}", why.name()),
            Self::Skip(why) => write!(f, "skip {}", why.name()),
        }
    }
}

/// Deciding at compile time: what reads a clock, waits or allocates does not pass here.
const _: () = {
    const fn stamp(frame_id: u64, ns: u64) -> Stamp {
        Stamp { epoch: 1, frame_id, gate_ns: ns, published_ns: ns }
    }
    let limit = Limit::per_second(10, 1);
    let mut state = State::NOTHING;
    assert!(matches!(decide(&state, &limit, stamp(1, 0)), Decision::Allow(Allow::FirstFrame)));
    state.dispatched(stamp(1, 0));
    let early = decide(&state, &limit, stamp(2, 99_999_999));
    assert!(matches!(early, Decision::Skip(Skip::TooSoon)));
    let due = decide(&state, &limit, stamp(2, 100_000_000));
    assert!(matches!(due, Decision::Allow(Allow::Elapsed)));
};

/// A subscription fits a cache line (docs/ref/contract.md, R3.3).
const _: () = assert!(size_of::<State>() + size_of::<Limit>() <= 64);
