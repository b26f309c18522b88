//! The decision, and what it looks at.

use core::fmt;

use crate::limit::{Kind, Limit};

/// What is known of a frame here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Rises with each change of size, format, colour or writer.
    pub epoch: u64,
    /// Rises with each frame.
    pub frame_id: u64,
    /// The time that the frame is judged on, in nanoseconds: what [`Timeline`](crate::Timeline) said
    /// when it was admitted.
    pub gate_ns: u64,
}

/// What a subscription remembers: the last frame dispatched to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    last: Option<Stamp>,
}

/// The answer.
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
    /// An interval has passed since the last one dispatched.
    Elapsed,
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
    /// Its time lies before that of the last one dispatched, in the same epoch.
    TimeWentBack,
    /// Less than an interval has passed since the last one dispatched.
    TooSoon,
    /// An interval has passed, but fewer frames than the stride.
    Stride,
}

impl State {
    /// Takes down that a frame was dispatched.
    ///
    /// Of frames told out of order the latest stays: forgetting it could only allow too much.
    pub const fn dispatched(&mut self, stamp: Stamp) {
        if let Some(last) = self.last
            && (stamp.epoch < last.epoch
                || (stamp.epoch == last.epoch && stamp.gate_ns < last.gate_ns))
        {
            return;
        }
        self.last = Some(stamp);
    }

    /// The last frame dispatched.
    #[must_use]
    pub const fn last(&self) -> Option<Stamp> {
        self.last
    }
}

/// Decides whether a subscription that is at `state` and has `limit` may have the frame of `stamp`.
///
/// The order is that of the specification: no maximum, an invalid one, the first frame, the time that
/// has passed.
///
/// Time counts as exactly as whole nanoseconds can tell. Both times were rounded, so that the true time
/// between them may be up to one longer: it may have reached an interval exactly when its whole
/// nanoseconds have reached those of the interval. Frames at exactly 30 a second read 33,333,333 ns apart
/// twice out of three times, and none of them is skipped at 30.
#[inline]
#[must_use]
pub const fn decide(state: &State, limit: &Limit, stamp: Stamp) -> Decision {
    let (interval_ns, stride) = match limit.0 {
        Kind::Unlimited => return Decision::Allow(Allow::Unlimited),
        Kind::Invalid => return Decision::Skip(Skip::InvalidLimit),
        Kind::AtMost { interval_ns, stride, .. } => (interval_ns, stride),
    };
    let Some(last) = state.last else {
        return Decision::Allow(Allow::FirstFrame);
    };
    if stamp.epoch < last.epoch {
        return Decision::Skip(Skip::OldEpoch);
    }
    let same_epoch = stamp.epoch == last.epoch;
    if same_epoch && stamp.frame_id == last.frame_id {
        return Decision::Skip(Skip::SameFrame);
    }
    let Some(elapsed_ns) = stamp.gate_ns.checked_sub(last.gate_ns) else {
        return if same_epoch {
            Decision::Skip(Skip::TimeWentBack)
        } else {
            Decision::Allow(Allow::NewTimeline)
        };
    };
    if elapsed_ns < interval_ns {
        Decision::Skip(Skip::TooSoon)
    } else if stamp.frame_id.wrapping_sub(last.frame_id) < stride {
        Decision::Skip(Skip::Stride)
    } else {
        Decision::Allow(Allow::Elapsed)
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
    /// All reasons.
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
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::InvalidLimit,
        Self::OldEpoch,
        Self::SameFrame,
        Self::TimeWentBack,
        Self::TooSoon,
        Self::Stride,
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
    const fn stamp(frame_id: u64, gate_ns: u64) -> Stamp {
        Stamp { epoch: 1, frame_id, gate_ns }
    }
    let limit = Limit::per_second(10, 1);
    let mut state = State { last: None };
    assert!(matches!(decide(&state, &limit, stamp(1, 0)), Decision::Allow(Allow::FirstFrame)));
    state.dispatched(stamp(1, 0));
    let early = decide(&state, &limit, stamp(2, 99_999_999));
    assert!(matches!(early, Decision::Skip(Skip::TooSoon)));
    let due = decide(&state, &limit, stamp(2, 100_000_000));
    assert!(matches!(due, Decision::Allow(Allow::Elapsed)));
};

/// A subscription fits a cache line (docs/ref/contract.md, R3.3).
const _: () = assert!(size_of::<State>() + size_of::<Limit>() <= 64);
