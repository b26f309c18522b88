//! A producer in the status.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vas_config::Producer;
use vas_pipeline::{BranchStats, Pushed};
use vas_rtp::{ProfileLevelId, Reception};
use vas_status::{DropCounters, NotProduced, ProducerReport, ProducerState};

/// Counters, which only rise, and the current state. Written by the producer's threads.
#[derive(Debug)]
pub struct ProducerStats {
    producer: Producer,
    counted: [AtomicU64; Counted::Last as usize],
    dropped: DropCounters<NotProduced>,
    words: Mutex<Words>,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    Packets,
    Bytes,
    Pictures,
    KeyFrames,
    Pli,
    Fir,
    Encoded,
    /// The number of counters.
    Last,
}

#[derive(Clone, Debug, Default)]
struct Words {
    state: ProducerState,
    reason: String,
    from: Option<SocketAddr>,
    encoder: Option<String>,
    profile: Option<ProfileLevelId>,
    reception: Option<Reception>,
}

impl ProducerStats {
    /// The stats of a producer that has not started.
    pub fn new(producer: &Producer) -> Self {
        Self {
            producer: producer.clone(),
            counted: Default::default(),
            dropped: DropCounters::default(),
            words: Mutex::default(),
        }
    }

    pub(crate) fn count(&self, what: Counted, by: u64) {
        self.counted[what as usize].fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn lose(&self, why: NotProduced, count: u64) {
        self.dropped.add(why, count);
    }

    pub(crate) fn set_state(&self, state: ProducerState, reason: impl Into<String>) {
        let mut words = self.words();
        // A failed producer stays failed.
        if words.state != ProducerState::Failed {
            (words.state, words.reason) = (state, reason.into());
        }
    }

    /// The producer stays off: its resources were unavailable when its camera started.
    pub fn cannot_start(&self, error: &io::Error) {
        self.set_state(ProducerState::Failed, format!("can't start: {error}"));
    }

    pub(crate) fn set_from(&self, from: Option<SocketAddr>) {
        self.words().from = from;
    }

    pub(crate) fn set_encoder(&self, encoder: String) {
        self.words().encoder = Some(encoder);
    }

    pub(crate) fn set_profile(&self, profile: Option<ProfileLevelId>) {
        self.words().profile = profile;
    }

    pub(crate) fn set_reception(&self, reception: Reception) {
        self.words().reception = Some(reception);
    }

    /// A snapshot of all of it.
    pub fn report(&self) -> ProducerReport {
        let words = self.words().clone();
        let counted = |what: Counted| self.counted[what as usize].load(Ordering::Relaxed);
        ProducerReport {
            state: words.state,
            reason: words.reason,
            video: self.producer.video.to_string(),
            to: self.producer.rtp.to_string(),
            from: words.from.map(|from| from.to_string()),
            ssrc: self.producer.ssrc,
            payload_type: self.producer.payload_type,
            profile_level_id: words.profile.map(|profile| profile.to_string()),
            encoder: words.encoder,
            encoded: counted(Counted::Encoded),
            pictures: counted(Counted::Pictures),
            key_frames: counted(Counted::KeyFrames),
            packets: counted(Counted::Packets),
            sent_bytes: counted(Counted::Bytes),
            dropped: self.dropped.by_reason(),
            pli: counted(Counted::Pli),
            fir: counted(Counted::Fir),
            receiver_lost: words.reception.map(|reception| reception.lost),
        }
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BranchStats for ProducerStats {
    fn dropped(&self, dropped: Pushed) {
        self.lose(NotProduced::Overload, dropped.overload);
        self.lose(NotProduced::BeforeKey, dropped.before_key);
    }

    fn panicked(&self) {
        self.set_state(ProducerState::Failed, "internal error in the producer's thread");
    }
}
