//! What a camera's recorder shows of itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pipeline::{BranchShown, Pushed};

/// What the recorder is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RecordState {
    /// Nothing comes that could be recorded.
    #[default]
    Waiting,
    Recording,
    /// The disk has no room; it goes on when there is some.
    Full,
    /// Something else keeps it from recording; it is tried again.
    Failed,
}

impl RecordState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Recording => "recording",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

/// Why a packet is in no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotRecorded {
    /// The recorder did not keep up; dropped to the next key frame.
    Overload,
    /// No key frame had come yet.
    BeforeKey,
    /// No file could be written.
    Unwritable,
    /// MP4 has no place for it.
    Unsupported,
    /// The recorder had ended.
    Ended,
}

impl NotRecorded {
    const ALL: [(Self, &str); 5] = [
        (Self::Overload, "overload"),
        (Self::BeforeKey, "before_key"),
        (Self::Unwritable, "unwritable"),
        (Self::Unsupported, "unsupported"),
        (Self::Ended, "ended"),
    ];
}

/// State and counters of one recorder. Counters only rise.
#[derive(Debug, Default)]
pub(crate) struct RecordFacts {
    told: Mutex<Told>,
    /// What is done with sound, in words.
    sound: Mutex<String>,
    files: AtomicU64,
    written_bytes: AtomicU64,
    packets: AtomicU64,
    dropped: [AtomicU64; NotRecorded::ALL.len()],
}

/// What is said in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) state: RecordState,
    /// Why; empty when there is nothing to say.
    pub(crate) reason: String,
    /// The file that is being written.
    pub(crate) file: Option<String>,
}

impl RecordFacts {
    /// Says what is done from now on; true when that is news.
    pub(super) fn tell(&self, state: RecordState, reason: String, file: Option<String>) -> bool {
        let told = Told { state, reason, file };
        let mut now = self.lock();
        let news = (now.state, &now.reason) != (told.state, &told.reason);
        *now = told;
        news
    }

    pub(crate) fn told(&self) -> Told {
        self.lock().clone()
    }

    pub(super) fn tell_sound(&self, words: &str) {
        words.clone_into(&mut self.sound.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is done with sound: `aac`, `opus`, `none` or `left out: `, and why; empty before a stream came.
    pub(crate) fn sound(&self) -> String {
        self.sound.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn closed_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn recorded_packet(&self) {
        self.packets.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn not_recorded(&self, why: NotRecorded, packets: u64) {
        self.dropped[why as usize].fetch_add(packets, Ordering::Relaxed);
    }

    /// Files that were closed under their own name.
    pub(crate) fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Bytes that the system took.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// Packets that were given to a file.
    pub(crate) fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Packets that are in no file, by reason.
    pub(crate) fn dropped(&self) -> BTreeMap<String, u64> {
        let count = |why: NotRecorded| self.dropped[why as usize].load(Ordering::Relaxed);
        NotRecorded::ALL.iter().map(|(why, name)| ((*name).to_owned(), count(*why))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BranchShown for RecordFacts {
    fn dropped(&self, dropped: Pushed) {
        self.not_recorded(NotRecorded::Overload, dropped.overload + dropped.idle);
        self.not_recorded(NotRecorded::BeforeKey, dropped.before_key);
        self.not_recorded(NotRecorded::Ended, dropped.closed);
    }

    fn panicked(&self) {
        self.tell(RecordState::Failed, "internal error in the record thread".into(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_place_and_name() {
        let facts = RecordFacts::default();
        for (n, (why, name)) in NotRecorded::ALL.iter().enumerate() {
            facts.not_recorded(*why, n as u64 + 1);
            assert_eq!(facts.dropped()[*name], n as u64 + 1);
        }
    }

    #[test]
    fn a_state_is_news_once() {
        let facts = RecordFacts::default();
        assert!(facts.tell(RecordState::Full, "a".into(), None));
        assert!(!facts.tell(RecordState::Full, "a".into(), Some("x".into())));
        assert!(facts.tell(RecordState::Full, "b".into(), None));
    }
}
