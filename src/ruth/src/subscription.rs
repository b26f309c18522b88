//! A model's request for a camera's frames, and its record of dispatches.

use alloc::string::String;

use vas_gate::{Decision, Limit, Stamp, State, decide};

use crate::verdict::{SkipReason, Verdict};

/// One model's subscription to one camera.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscription {
    limit: Limit,
    active: bool,
    poison: Option<String>,
    state: State,
    dispatched: u64,
}

impl Subscription {
    /// An active subscription without dispatches.
    pub(crate) fn new(limit: Limit) -> Self {
        Self { limit, active: true, poison: None, state: State::default(), dispatched: 0 }
    }

    /// The maximum.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Whether the subscription is switched on.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Why the subscription is poisoned, if it is.
    #[must_use]
    pub fn poison(&self) -> Option<&str> {
        self.poison.as_deref()
    }

    /// Frames dispatched to the model. Callers count skips.
    #[must_use]
    pub fn dispatched(&self) -> u64 {
        self.dispatched
    }

    /// The last frame dispatched.
    #[must_use]
    pub fn last_dispatched(&self) -> Option<Stamp> {
        self.state.last()
    }

    pub(crate) fn decide(&self, stamp: Stamp) -> Verdict {
        if self.poison.is_some() {
            return Verdict::Skip(SkipReason::SubscriptionPoisoned);
        }
        if !self.active {
            return Verdict::Skip(SkipReason::Inactive);
        }
        match decide(&self.state, &self.limit, stamp) {
            Decision::Allow(why) => Verdict::Allow(why),
            Decision::Skip(why) => Verdict::Skip(SkipReason::Gate(why)),
        }
    }

    pub(crate) fn set_limit(&mut self, limit: Limit) {
        self.limit = limit;
    }

    pub(crate) fn set_active(&mut self, active: bool) {
        self.active = active;
    }

    pub(crate) fn set_poison(&mut self, why: String) {
        self.poison.get_or_insert(why);
    }

    pub(crate) fn record_dispatch(&mut self, stamp: Stamp) {
        self.state.dispatched(stamp);
        self.dispatched = self.dispatched.saturating_add(1);
    }
}
