//! An agent's decision about a frame.

use core::fmt;

use vas_gate::Allow;

/// Whether a subscription may have a frame, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The subscription may have the frame.
    Allow(Allow),
    /// The subscription may not have the frame.
    Skip(SkipReason),
}

/// Why a frame is skipped, in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// The agent is poisoned.
    AgentPoisoned,
    /// The agent is not started yet, or is stopped.
    NotRunning,
    /// The agent has no binding yet.
    NotBound,
    /// The frame's epoch is not the one of the binding.
    OtherEpoch,
    /// The model has no subscription to this camera.
    NotSubscribed,
    /// The subscription is poisoned.
    SubscriptionPoisoned,
    /// The subscription is switched off.
    Inactive,
    /// The gate skips the frame.
    Gate(vas_gate::Skip),
}

impl Verdict {
    /// Whether the frame is allowed.
    #[must_use]
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The reason as one word, as in reports and JSON.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Allow(why) => why.name(),
            Self::Skip(why) => why.name(),
        }
    }
}

impl SkipReason {
    /// The reason as one word, as in reports and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgentPoisoned => "agent_poisoned",
            Self::NotRunning => "not_running",
            Self::NotBound => "not_bound",
            Self::OtherEpoch => "other_epoch",
            Self::NotSubscribed => "not_subscribed",
            Self::SubscriptionPoisoned => "subscription_poisoned",
            Self::Inactive => "inactive",
            Self::Gate(why) => why.name(),
        }
    }
}

impl fmt::Display for Verdict {
    /// Prints `allow elapsed`, `skip too_soon`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_allow() { "allow" } else { "skip" };
        write!(f, "{word} {}", self.reason())
    }
}
