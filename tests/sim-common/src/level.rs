//! Counters for tests: current and highest values.

use std::sync::atomic::{AtomicU64, Ordering};

/// A level and its highest value.
#[derive(Debug, Default)]
pub struct Peak {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Peak {
    /// Zero.
    pub const fn new() -> Self {
        Self { now: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    /// Raises the level.
    pub fn add(&self, amount: u64) {
        let now = self.now.fetch_add(amount, Ordering::Relaxed) + amount;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    /// Raises the level unless that would pass `limit`; whether it did.
    pub fn try_add(&self, amount: u64, limit: u64) -> bool {
        let grown = |now: u64| now.checked_add(amount).filter(|sum| *sum <= limit);
        match self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(before) => {
                self.peak.fetch_max(before + amount, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    /// Lowers the level.
    pub fn subtract(&self, amount: u64) {
        self.now.fetch_sub(amount, Ordering::Relaxed);
    }

    /// The current value.
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The highest value so far.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}
