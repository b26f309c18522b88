//! When several pictures may be read at once, as a network card coalesces interrupts.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use crate::stop::StopFlag;

/// Whether a camera's source may leave its connection unread for a while, so that one wake-up brings several pictures.
///
/// Clones share their state. It is allowed while no consumer needs each picture as it arrives.
#[derive(Clone, Debug)]
pub struct Coalescing {
    /// A pause sleeps on the flag, so that a stop ends it.
    stop: StopFlag,
    /// Consumers that need each picture as it arrives.
    prompt: Arc<AtomicIsize>,
}

impl Coalescing {
    /// Allowed, until a consumer begins; `stop` ends a pause.
    pub fn new(stop: &StopFlag) -> Self {
        Self { stop: stop.clone(), prompt: Arc::default() }
    }

    /// A consumer needs each picture as it arrives, from now on. Ends a pause at once.
    pub fn begin_prompt(&self) {
        // Partner: the load in `pause`, under the lock that `recheck` takes.
        self.prompt.fetch_add(1, Ordering::SeqCst);
        self.stop.recheck();
    }

    /// A consumer that [began](Self::begin_prompt) no longer does.
    pub fn end_prompt(&self) {
        self.prompt.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether it is allowed now.
    pub fn is_allowed(&self) -> bool {
        self.prompt.load(Ordering::SeqCst) <= 0
    }

    /// Sleeps for at most `longest`, while it is allowed and nothing is stopped.
    pub(crate) fn pause(&self, longest: Duration) {
        self.stop.wait_while(longest, || self.is_allowed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_consumer_ends_a_pause() {
        let coalescing = Coalescing::new(&StopFlag::new());
        assert!(coalescing.is_allowed());
        let sleeper = std::thread::spawn({
            let coalescing = coalescing.clone();
            move || coalescing.pause(LONG)
        });
        coalescing.begin_prompt();
        sleeper.join().unwrap();
        coalescing.pause(LONG);
        coalescing.begin_prompt();
        coalescing.end_prompt();
        assert!(!coalescing.is_allowed());
        coalescing.end_prompt();
        assert!(coalescing.is_allowed());
        coalescing.pause(Duration::ZERO);
    }

    #[test]
    fn a_stop_ends_a_pause() {
        let stop = StopFlag::new();
        let coalescing = Coalescing::new(&stop);
        let sleeper = std::thread::spawn(move || coalescing.pause(LONG));
        stop.stop();
        sleeper.join().unwrap();
    }
}
