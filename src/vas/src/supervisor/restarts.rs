//! Whether a shard that ended is restarted, and how long to wait before that. Pure.

use std::time::Duration;

use vas_backoff::Backoff;

/// A process that ran this long has survived what ended its predecessor.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// The recent ends of a shard's processes.
#[derive(Debug)]
pub(super) struct Restarts {
    has_ended: bool,
    backoff: Backoff,
}

impl Default for Restarts {
    fn default() -> Self {
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        Self { has_ended: false, backoff }
    }
}

/// The result of a shard's first process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It has no camera, and so needs none.
    NotWanted,
    /// Nothing yet, or it died without a report.
    Open,
    /// It reported that it can't work, or its program can't be run.
    Failed,
    /// It has reported.
    Up,
}

/// Whether continuing is useless: every shard with cameras failed at its first start.
pub(super) fn all_failed(shards: impl Iterator<Item = Beginning>) -> bool {
    let mut wanted = shards.filter(|beginning| *beginning != Beginning::NotWanted).peekable();
    wanted.peek().is_some() && wanted.all(|beginning| beginning == Beginning::Failed)
}

impl Restarts {
    /// Whether a process has ended.
    pub(super) fn any(&self) -> bool {
        self.has_ended
    }

    /// A process ended after it `ran` this long; returns the wait before the next. There is none
    /// after the first end, since other cameras are dark meanwhile.
    pub(super) fn ended(&mut self, ran: Duration) -> Duration {
        if ran >= WELL_AFTER || !self.has_ended {
            self.has_ended = true;
            self.backoff.reset();
            return Duration::ZERO;
        }
        self.backoff.failed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_can_not_start_ends_the_service_only_if_none_can() {
        use Beginning::{Failed, NotWanted, Open, Up};
        let failed = |shards: &[Beginning]| all_failed(shards.iter().copied());
        assert!(failed(&[Failed]) && failed(&[Failed, NotWanted]) && failed(&[Failed, Failed]));
        assert!(!failed(&[Up, Failed]), "a running shard keeps the service up");
        assert!(!failed(&[Failed, Open]), "the other may still start");
        assert!(!failed(&[NotWanted]) && !failed(&[]));
    }

    #[test]
    fn waits_grow_and_a_long_run_resets_them() {
        let mut restarts = Restarts::default();
        let soon = Duration::from_secs(1);
        let mut waits = [(); 9].map(|()| restarts.ended(soon).as_millis());
        assert_eq!(waits, [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        waits = [(); 9].map(|()| restarts.ended(WELL_AFTER).as_millis());
        assert_eq!(waits, [0; 9]);
    }
}
