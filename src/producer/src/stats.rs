//! A producer in the status.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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
    since: Option<Instant>,
    /// It could not start, and has not started since.
    late: bool,
    /// One of its threads panicked.
    panicked: bool,
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
        self.words().set(state, reason.into());
    }

    /// The system lacks something that the producer needs to start; it is retried. Returns whether
    /// the reason is new.
    pub fn cannot_start(&self, error: &io::Error) -> bool {
        let mut words = self.words();
        let reason = format!("can't start: {error}; trying again");
        let is_new = words.reason != reason;
        words.set(ProducerState::Failed, reason);
        words.late = true;
        is_new
    }

    /// The producer has started; returns whether it [could not](Self::cannot_start) before.
    pub fn has_started(&self) -> bool {
        let mut words = self.words();
        // Its threads may have reported more by now.
        if words.state == ProducerState::Failed {
            words.set(ProducerState::Waiting, String::new());
        }
        std::mem::take(&mut words.late)
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
            since_s: words.since.map(|since| since.elapsed().as_secs()),
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

impl Words {
    fn set(&mut self, state: ProducerState, reason: String) {
        // After a panic it stays off.
        if self.panicked {
            return;
        }
        if self.state != state || self.since.is_none() {
            self.since = Some(Instant::now());
        }
        (self.state, self.reason) = (state, reason);
    }
}

impl BranchStats for ProducerStats {
    fn dropped(&self, dropped: Pushed) {
        self.lose(NotProduced::Overload, dropped.overload);
        self.lose(NotProduced::BeforeKey, dropped.before_key);
        self.lose(NotProduced::NotRunning, dropped.not_running + dropped.closed);
    }

    fn panicked(&self) {
        let mut words = self.words();
        words.set(ProducerState::Failed, "internal error in the producer's thread".into());
        words.panicked = true;
    }
}
