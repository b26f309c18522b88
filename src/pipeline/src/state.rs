//! What a camera is doing, for people.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use vas_media::{Fraction, RtspClient, SourceErrorKind, StreamInfo};

/// What a camera is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Being connected to.
    #[default]
    Connecting,
    /// Delivering packets.
    Streaming,
    /// Waiting before it is tried again, for none of the reasons below; the reason says what failed.
    Waiting,
    /// Nothing came any more. As with all states up to `Garbage`, it is tried again.
    Silent,
    /// It answers or sends something, but no whole picture comes.
    Stalled,
    /// It refused the login.
    Refused,
    /// There is no way to it, or nobody answers there.
    Unreachable,
    /// It has no video under this path, or none that can be decoded.
    NoVideo,
    /// What it sends makes no sense.
    Garbage,
    /// A file that was played to its end.
    Ended,
    /// Given up until a restart; the reason says why.
    Failed,
}

impl State {
    /// What a camera is in whose source failed; `played` says that packets had come from it.
    pub(crate) fn after(kind: &SourceErrorKind, played: bool) -> Self {
        use SourceErrorKind as Kind;
        match kind {
            Kind::BadUrl { .. } => Self::Failed,
            Kind::TimedOut { .. } if played => Self::Silent,
            Kind::TimedOut { .. } | Kind::Unreachable(_) | Kind::UnknownHost { .. } => {
                Self::Unreachable
            }
            Kind::Stalled { .. } => Self::Stalled,
            Kind::Refused { .. } => Self::Refused,
            Kind::NoVideo
            | Kind::NoSuchPath
            | Kind::UnsupportedCodec { .. }
            | Kind::Unplayable { .. } => Self::NoVideo,
            Kind::Garbage(_) => Self::Garbage,
            _ => Self::Waiting,
        }
    }

    /// Every state.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 11] = [
        Self::Connecting,
        Self::Streaming,
        Self::Waiting,
        Self::Silent,
        Self::Stalled,
        Self::Refused,
        Self::Unreachable,
        Self::NoVideo,
        Self::Garbage,
        Self::Ended,
        Self::Failed,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Streaming => "streaming",
            Self::Waiting => "waiting",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::NoVideo => "no video",
            Self::Garbage => "garbage",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

/// What is known of a camera's stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamFacts {
    pub(crate) codec: String,
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) fps: Option<Fraction>,
    pub(crate) carrier: String,
    pub(crate) client: Option<RtspClient>,
    pub(crate) client_why: Option<String>,
    pub(crate) knows_loss: bool,
}

impl StreamFacts {
    pub(crate) fn of(stream: &StreamInfo) -> Self {
        Self {
            codec: stream.codec.name().to_owned(),
            size: stream.size,
            fps: stream.fps,
            carrier: stream.carrier.to_string(),
            client: stream.client,
            client_why: stream.client_why.clone(),
            knows_loss: stream.knows_loss,
        }
    }
}

/// What decodes, or why nothing does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecoderFacts {
    /// `software`, `nvdec`, `vaapi` or `none`.
    pub(crate) kind: &'static str,
    /// The GPU that it decodes on.
    pub(crate) gpu: Option<usize>,
    /// What it takes of that GPU's memory, at least.
    pub(crate) gpu_bytes: Option<u64>,
    /// Why it is not a better one, or why there is none.
    pub(crate) why: Option<String>,
}

impl DecoderFacts {
    /// No decoder.
    pub(super) fn none(why: Option<String>) -> Self {
        Self { kind: "none", gpu: None, gpu_bytes: None, why }
    }
}

/// State, reason and stream facts: written by the camera's threads at changes, read by the status.
#[derive(Debug, Default)]
pub(crate) struct StateCell(Mutex<Inner>);

#[derive(Debug, Clone, Default)]
pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) reason: String,
    pub(crate) since: Option<Instant>,
    pub(crate) stream: Option<StreamFacts>,
    pub(crate) decoder: Option<DecoderFacts>,
}

impl StateCell {
    pub(crate) fn set(&self, state: State, reason: impl Into<String>) {
        let mut inner = self.lock();
        if inner.state != state || inner.since.is_none() {
            inner.since = Some(Instant::now());
        }
        inner.state = state;
        inner.reason = reason.into();
    }

    pub(crate) fn set_stream(&self, stream: StreamFacts) {
        self.lock().stream = Some(stream);
    }

    pub(crate) fn set_decoder(&self, decoder: Option<DecoderFacts>) {
        self.lock().decoder = decoder;
    }

    pub(crate) fn get(&self) -> Inner {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told_in_a_word() {
        let timed_out =
            || SourceErrorKind::TimedOut { what: "a packet", limit: std::time::Duration::ZERO };
        assert_eq!(State::after(&timed_out(), true), State::Silent);
        assert_eq!(State::after(&timed_out(), false), State::Unreachable);
        assert_eq!(State::after(&SourceErrorKind::Refused { status: 401 }, false), State::Refused);
        assert_eq!(State::after(&SourceErrorKind::NoSuchPath, false), State::NoVideo);
        assert_eq!(State::after(&SourceErrorKind::Ended, true), State::Waiting);
    }

    #[test]
    fn since_is_the_change_of_state_not_of_words() {
        let cell = StateCell::default();
        cell.set(State::Waiting, "a");
        let first = cell.get().since;
        cell.set(State::Waiting, "b");
        assert_eq!((cell.get().since, cell.get().reason.as_str()), (first, "b"));
        cell.set(State::Streaming, "");
        assert!(cell.get().since >= first);
    }
}
