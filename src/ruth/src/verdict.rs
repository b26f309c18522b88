//! What an agent answers about a frame.

use core::fmt;

use vas_gate::Allow;

/// Whether a subscription may have a frame, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may.
    Allow(Allow),
    /// It may not.
    Skip(Skip),
}

/// Why a frame is skipped, in the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// Something went wrong with the whole agent.
    AgentPoisoned,
    /// The agent was not started, or is stopped.
    NotRunning,
    /// The agent describes no export yet.
    NotBound,
    /// The frame is of another epoch than the one that the binding describes.
    OtherEpoch,
    /// The model has no subscription to this camera.
    NotSubscribed,
    /// Something went wrong with this subscription.
    SubscriptionPoisoned,
    /// The subscription is switched off.
    Inactive,
    /// The maximum does not allow it.
    Gate(vas_gate::Skip),
}

impl Verdict {
    /// Whether the frame is allowed.
    #[must_use]
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The reason in a word, as reports and JSON have it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Allow(why) => why.name(),
            Self::Skip(why) => why.name(),
        }
    }
}

impl Skip {
    /// The reason in a word, as reports and JSON have it.
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
