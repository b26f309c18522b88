//! A camera's recorder in the status.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vas_pipeline::{BranchStats, Pushed};
use vas_status::{DropCounters, NotRecorded, RecorderReport, RecorderState};

/// State and counters of one recorder. Counters only rise.
#[derive(Debug, Default)]
pub struct RecorderStats {
    activity: Mutex<Activity>,
    /// What is done with sound, as the status words it.
    sound: Mutex<String>,
    files: AtomicU64,
    written_bytes: AtomicU64,
    packets: AtomicU64,
    dropped: DropCounters<NotRecorded>,
}

/// What it is doing now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Activity {
    state: RecorderState,
    /// Why; empty when there is nothing to report.
    reason: String,
    /// The file that is being written.
    file: Option<String>,
}

impl RecorderStats {
    /// A snapshot of all of it; `input` is the input that is recorded.
    pub fn report(&self, input: String) -> RecorderReport {
        let activity = self.lock().clone();
        RecorderReport {
            state: activity.state,
            reason: vas_media::redact(&activity.reason),
            input,
            file: activity.file,
            sound: vas_media::redact(&self.sound()),
            files: self.files.load(Ordering::Relaxed),
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
            packets: self.packets.load(Ordering::Relaxed),
            dropped: self.dropped.by_reason(),
        }
    }

    /// Sets the state; returns whether it is new.
    pub(crate) fn set_state(
        &self,
        state: RecorderState,
        reason: String,
        file: Option<String>,
    ) -> bool {
        let activity = Activity { state, reason, file };
        let mut now = self.lock();
        let news = (now.state, &now.reason) != (activity.state, &activity.reason);
        *now = activity;
        news
    }

    pub(crate) fn state(&self) -> RecorderState {
        self.lock().state
    }

    pub(crate) fn set_sound(&self, words: &str) {
        words.clone_into(&mut self.sound.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is done with sound: `aac`, `opus`, `none` or `left out: ` and why; empty before the
    /// first stream.
    pub(crate) fn sound(&self) -> String {
        self.sound.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A file was closed under its own name.
    pub(crate) fn closed_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    /// The system accepted this many bytes.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A packet was written to a file.
    pub(crate) fn recorded_packet(&self) {
        self.packets.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn not_recorded(&self, why: NotRecorded, packets: u64) {
        self.dropped.add(why, packets);
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BranchStats for RecorderStats {
    fn dropped(&self, dropped: Pushed) {
        self.not_recorded(NotRecorded::Overload, dropped.overload + dropped.idle);
        self.not_recorded(NotRecorded::BeforeKey, dropped.before_key);
        self.not_recorded(NotRecorded::Ended, dropped.closed);
    }

    fn panicked(&self) {
        self.set_state(RecorderState::Failed, "internal error in the record thread".into(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_news_once() {
        let stats = RecorderStats::default();
        assert!(stats.set_state(RecorderState::Full, "a".into(), None));
        assert!(!stats.set_state(RecorderState::Full, "a".into(), Some("x".into())));
        assert!(stats.set_state(RecorderState::Full, "b".into(), None));
    }
}
