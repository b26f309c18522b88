//! The decision, and what it looks at.

use core::fmt;

use crate::limit::Limit;
use crate::recent::{FORGOTTEN_NS, Recent};

/// What is known of a frame here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Rises with each change of size, format, colour or writer.
    pub epoch: u64,
    /// Rises with each frame.
    pub frame_id: u64,
    /// The time by which frames keep their distance, in nanoseconds: what
    /// [`Timeline`](crate::Timeline) said when it was admitted.
    pub gate_ns: u64,
    /// When it was published, in nanoseconds: the time of which no second holds more frames than the
    /// maximum. Before publication (in the tap) it is the time at which the frame was admitted, and the
    /// maximum then holds for that time.
    pub published_ns: u64,
}

/// What a subscription remembers: the last frame dispatched to it, and in which 95ths of the last
/// second there were others. The default is that of a subscription without a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Where dispatches were recorded out of order, `published_ns` is the latest of them.
    last: Stamp,
    recent: Recent,
}

/// The answer of [`decide()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The subscription may have the frame.
    Allow(Allow),
    /// It may not.
    Skip(Skip),
}

/// Why a frame is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allow {
    /// There is no maximum.
    Unlimited,
    /// Nothing was dispatched yet.
    FirstFrame,
    /// An interval has passed since the last one dispatched, and the last second has room.
    // The byte of `Skip::SecondFull`, so that the last comparison of a decision need choose only one.
    Elapsed = 6,
    /// A later epoch whose time begins below what was dispatched before: there is nothing to compare.
    NewTimeline,
}

/// Why a frame is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// The maximum is no positive number.
    InvalidLimit,
    /// The frame is of an epoch before that of the last one dispatched.
    OldEpoch,
    /// It is the last one dispatched.
    SameFrame,
    /// One of its times lies before that of the last one dispatched, in the same epoch or by so little
    /// that it is soon caught up with.
    TimeWentBack,
    /// Less than an interval has passed since the last one dispatched, or it was published within a
    /// 95th of a second of it.
    TooSoon,
    /// An interval has passed, but fewer frames than the stride.
    Stride,
    /// An interval has passed, but as many frames as the maximum allows were published for the
    /// subscription within the last second.
    SecondFull,
}

impl Default for State {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl State {
    /// The last epoch that there can be: the question whether there was a frame before is asked only of
    /// frames that seem to be of one too old.
    const NOTHING: Self = Self {
        last: Stamp { epoch: u64::MAX, frame_id: 0, gate_ns: 0, published_ns: 0 },
        recent: Recent::NONE,
    };

    /// Records a dispatch.
    ///
    /// Of dispatches that are recorded out of order the latest counts: forgetting it could only allow too much.
    pub const fn dispatched(&mut self, stamp: Stamp) {
        let last = self.last;
        let another_epoch = stamp.epoch > last.epoch;
        let (recent, published_ns) =
            self.recent.with(last.published_ns, stamp.published_ns, another_epoch);
        let told_late = !self.recent.is_empty()
            && !another_epoch
            && (stamp.epoch < last.epoch || stamp.gate_ns < last.gate_ns);
        self.last = if told_late { last } else { stamp };
        self.last.published_ns = published_ns;
        self.recent = recent;
    }

    /// The last frame dispatched.
    #[must_use]
    pub const fn last(&self) -> Option<Stamp> {
        if self.recent.is_empty() { None } else { Some(self.last) }
    }
}

/// Decides whether a subscription that is at `state` and has `limit` may have the frame of `stamp`.
///
/// The order is that of the specification: no maximum, an invalid one, the first frame, the time that
/// has passed.
///
/// The interval counts on `gate_ns`, as exactly as whole nanoseconds can tell. Both times were rounded,
/// so that the true time between them may be up to one longer: it may have reached an interval exactly
/// when its whole nanoseconds have reached those of the interval. Frames at exactly 30 a second read
/// 33,333,333 ns apart twice out of three times, and none of them is too soon at 30.
///
/// Beside it no second of `published_ns`, wherever it begins, gets more frames than the maximum, rounded
/// up, however they come.
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
        // By as much as is remembered: the same clock may have been set back, and catches up soon.
        // By more: it is another, and waiting for it could take forever.
        return if last.published_ns - stamp.published_ns < FORGOTTEN_NS {
            Decision::Skip(Skip::TimeWentBack)
        } else {
            Decision::Allow(Allow::NewTimeline)
        };
    } else {
        // A time line that begins anew, below, is as good as one that begins much later.
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

    /// The reason in a word, as reports and JSON have it.
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

    /// The reason in a word, as reports and JSON have it.
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
