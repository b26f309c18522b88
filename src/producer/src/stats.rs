//! What a producer shows of itself.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vas_rtp::{ProfileLevelId, Reception};

use crate::config::{Destination, Producer, Video};
use crate::pipeline::{BranchShown, Pushed};

/// Why a picture or a packet did not go out. Nothing is left out under another heading, or under none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Picture: no key frame had come yet.
    BeforeKey,
    /// Picture: the ones before it were not sent yet.
    Overload,
    /// Picture: the stream can't be passed on; the reason says why.
    Refused,
    /// Frame: the ones before it were not encoded yet.
    Encoder,
    /// Frame: it could not be encoded.
    NotEncoded,
    /// Packet: the socket's buffer was full.
    SocketFull,
    /// Packet: nobody was at the other end.
    PeerGone,
    /// Packet: the system did not send it; the reason says why.
    NotSent,
}

impl Loss {
    /// Every one, in the order of the status.
    pub(crate) const ALL: [(Self, &str); 8] = [
        (Self::BeforeKey, "before_key"),
        (Self::Overload, "overload"),
        (Self::Refused, "refused"),
        (Self::Encoder, "encoder"),
        (Self::NotEncoded, "not_encoded"),
        (Self::SocketFull, "socket_full"),
        (Self::PeerGone, "peer_gone"),
        (Self::NotSent, "not_sent"),
    ];
}

/// What it is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// No picture has come from the camera, or none for a while.
    #[default]
    Waiting,
    Sending,
    /// Nobody is at the other end.
    PeerGone,
    /// The camera's video can't go out like this.
    Refused,
    /// It stays off until a restart.
    Failed,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::PeerGone => "peer_gone",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Counters, which only rise, and what is so at the moment. Written by the producer's threads.
#[derive(Debug)]
pub(crate) struct Shown {
    producer: Producer,
    counted: [AtomicU64; Counted::Last as usize],
    lost: [AtomicU64; Loss::ALL.len()],
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
    /// How many there are.
    Last,
}

#[derive(Clone, Debug, Default)]
struct Words {
    state: State,
    reason: String,
    from: Option<SocketAddr>,
    encoder: Option<String>,
    profile: Option<ProfileLevelId>,
    reception: Option<Reception>,
}

/// All of it at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) state: State,
    pub(crate) reason: String,
    pub(crate) video: Video,
    pub(crate) to: Destination,
    pub(crate) from: Option<SocketAddr>,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) encoder: Option<String>,
    pub(crate) profile: Option<ProfileLevelId>,
    pub(crate) reception: Option<Reception>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) pictures: u64,
    pub(crate) key_frames: u64,
    pub(crate) pli: u64,
    pub(crate) fir: u64,
    pub(crate) encoded: u64,
    pub(crate) lost: BTreeMap<String, u64>,
}

impl Shown {
    pub(crate) fn new(producer: &Producer) -> Self {
        Self {
            producer: producer.clone(),
            counted: Default::default(),
            lost: Default::default(),
            words: Mutex::default(),
        }
    }

    pub(crate) fn count(&self, what: Counted, by: u64) {
        self.counted[what as usize].fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn lose(&self, why: Loss, count: u64) {
        self.lost[why as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn set_state(&self, state: State, reason: impl Into<String>) {
        let mut words = self.words();
        // What failed stays so, whatever comes after.
        if words.state != State::Failed {
            (words.state, words.reason) = (state, reason.into());
        }
    }

    /// It stays off: what it needs could not be had when its camera started.
    pub(crate) fn cannot_start(&self, error: &io::Error) {
        self.set_state(State::Failed, format!("can't start: {error}"));
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

    pub(crate) fn facts(&self) -> Facts {
        let words = self.words().clone();
        let counted = |what: Counted| self.counted[what as usize].load(Ordering::Relaxed);
        let lost = |(why, name): &(Loss, &str)| {
            ((*name).to_owned(), self.lost[*why as usize].load(Ordering::Relaxed))
        };
        Facts {
            state: words.state,
            reason: words.reason,
            video: self.producer.video,
            to: self.producer.rtp.clone(),
            from: words.from,
            ssrc: self.producer.ssrc,
            payload_type: self.producer.payload_type,
            encoder: words.encoder,
            profile: words.profile,
            reception: words.reception,
            packets: counted(Counted::Packets),
            bytes: counted(Counted::Bytes),
            pictures: counted(Counted::Pictures),
            key_frames: counted(Counted::KeyFrames),
            pli: counted(Counted::Pli),
            fir: counted(Counted::Fir),
            encoded: counted(Counted::Encoded),
            lost: Loss::ALL.iter().map(lost).collect(),
        }
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BranchShown for Shown {
    fn dropped(&self, dropped: Pushed) {
        self.lose(Loss::Overload, dropped.overload);
        self.lose(Loss::BeforeKey, dropped.before_key);
    }

    fn panicked(&self) {
        self.set_state(State::Failed, "internal error in the producer's thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_has_its_own_place_and_name() {
        for (n, (why, name)) in Loss::ALL.iter().enumerate() {
            assert_eq!(*why as usize, n, "{name} is in its place");
        }
    }
}
