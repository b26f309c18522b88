//! Whether a shard that ended is started again, and how long to wait before that. Pure.

use std::time::Duration;

use vas_pipeline::Backoff;

/// A process that ran for so long has got over what ended its predecessor.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// What became of a shard's processes lately.
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

/// What came of a shard's first process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It has no camera, and so needs none.
    NotWanted,
    /// Nothing yet, or it died without a word.
    Open,
    /// It said that it can't do its work.
    InVain,
    /// It has reported.
    Up,
}

/// Whether there is no use in going on: every shard with cameras said at its first start that it can't do its work.
pub(super) fn all_in_vain(shards: impl Iterator<Item = Beginning>) -> bool {
    let mut wanted = shards.filter(|beginning| *beginning != Beginning::NotWanted).peekable();
    wanted.peek().is_some() && wanted.all(|beginning| beginning == Beginning::InVain)
}

impl Restarts {
    /// Whether a process has ended.
    pub(super) fn any(&self) -> bool {
        self.has_ended
    }

    /// A process ended after it `ran` for so long: the time to wait before the next. The first is not waited for:
    /// others' cameras are dark meanwhile.
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
    fn a_shard_that_can_not_begin_ends_the_service_only_where_none_can() {
        use Beginning::{InVain, NotWanted, Open, Up};
        let in_vain = |shards: &[Beginning]| all_in_vain(shards.iter().copied());
        assert!(in_vain(&[InVain]) && in_vain(&[InVain, NotWanted]) && in_vain(&[InVain, InVain]));
        assert!(!in_vain(&[Up, InVain]), "what runs goes on");
        assert!(!in_vain(&[InVain, Open]), "the other may begin");
        assert!(!in_vain(&[NotWanted]) && !in_vain(&[]));
    }

    #[test]
    fn waits_grow_and_a_long_run_ends_them() {
        let mut restarts = Restarts::default();
        let soon = Duration::from_secs(1);
        let mut waits = [(); 9].map(|()| restarts.ended(soon).as_millis());
        assert_eq!(waits, [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        waits = [(); 9].map(|()| restarts.ended(WELL_AFTER).as_millis());
        assert_eq!(waits, [0; 9]);
    }
}
