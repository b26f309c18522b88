//! What became of a subscription.

use std::collections::BTreeMap;

use ruth_core::{Limit, ModelId, Stamp, Verdict};

use crate::measure::{highest_in_a_second, mean_rate};
use crate::recording::Frame;

/// One subscription, and what it was answered.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Whose it is.
    pub model: ModelId,
    /// Its maximum.
    pub limit: Limit,
    /// Times of all frames that it was asked about.
    pub seen: Vec<u64>,
    /// Frames that it was allowed.
    pub allowed: Vec<Allowed>,
    /// How often it was refused one, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
}

/// The times of a frame that was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// The time that it was judged on.
    pub gate_ns: u64,
    /// When it was published.
    pub published_ns: u64,
}

impl Tally {
    pub(crate) fn new(model: ModelId, limit: Limit) -> Self {
        Self { model, limit, seen: Vec::new(), allowed: Vec::new(), skipped: BTreeMap::new() }
    }

    pub(crate) fn count(&mut self, frame: &Frame, verdict: Verdict) {
        self.seen.push(frame.stamp.gate_ns);
        if verdict.is_allow() {
            let Stamp { gate_ns, published_ns, .. } = frame.stamp;
            self.allowed.push(Allowed { gate_ns, published_ns });
        } else {
            *self.skipped.entry(verdict.reason()).or_default() += 1;
        }
    }

    /// Frames a second that it was allowed, from the first to the last.
    #[must_use]
    pub fn mean_fps(&self) -> Option<f64> {
        mean_rate(self.allowed.iter().map(|allowed| allowed.gate_ns))
    }

    /// Frames a second that there were.
    #[must_use]
    pub fn seen_fps(&self) -> Option<f64> {
        mean_rate(self.seen.iter().copied())
    }

    /// The most that it was allowed in any one second of the time that it was judged on.
    #[must_use]
    pub fn highest_judged(&self) -> usize {
        highest_in_a_second(self.allowed.iter().map(|allowed| allowed.gate_ns))
    }

    /// The most that were published for it in any one second.
    #[must_use]
    pub fn highest_published(&self) -> usize {
        highest_in_a_second(self.allowed.iter().map(|allowed| allowed.published_ns))
    }
}
