//! How long to wait before a camera is tried again.

use std::time::Duration;

/// Doubling waits with a ceiling, from the start again after a success.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(10);

    /// Notes a failure and says how long to wait.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Notes that the camera delivers.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_a_ceiling_and_begins_again() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..7).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        backoff.succeeded();
        assert_eq!(backoff.failed(), Backoff::FIRST);
        for _ in 0..100 {
            assert!(backoff.failed() <= Backoff::LONGEST);
        }
    }
}
