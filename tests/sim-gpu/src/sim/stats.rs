//! Counters for tests: current and highest values.

use std::sync::atomic::{AtomicU64, Ordering};

/// A level and its highest value.
pub(crate) struct Peak {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Peak {
    pub(crate) const fn new() -> Self {
        Self { now: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, amount: u64) {
        let now = self.now.fetch_add(amount, Ordering::Relaxed) + amount;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    /// Adds unless that would pass `limit`.
    pub(crate) fn try_add(&self, amount: u64, limit: u64) -> bool {
        let grown = |now: u64| now.checked_add(amount).filter(|sum| *sum <= limit);
        match self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(before) => {
                self.peak.fetch_max(before + amount, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    pub(crate) fn subtract(&self, amount: u64) {
        self.now.fetch_sub(amount, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}
