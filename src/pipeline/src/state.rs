//! What an input is doing, for the status.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use vas_media::{SourceErrorKind, StreamInfo};
use vas_status::{DecoderReport, InputState, InputStatus, LossDetection, StreamReport};

use super::counters::Counters;

/// The state of an input whose source failed; `played` states whether packets had come from it.
pub(crate) fn state_after(kind: &SourceErrorKind, played: bool) -> InputState {
    use SourceErrorKind as Kind;
    match kind {
        Kind::BadUrl { .. } => InputState::Failed,
        Kind::TimedOut { .. } if played => InputState::Silent,
        Kind::TimedOut { .. } | Kind::Unreachable(_) | Kind::UnknownHost { .. } => {
            InputState::Unreachable
        }
        Kind::Stalled { .. } => InputState::Stalled,
        Kind::Refused { .. } => InputState::Refused,
        Kind::NoVideo
        | Kind::NoSuchPath
        | Kind::UnsupportedCodec { .. }
        | Kind::Unplayable { .. } => InputState::NoVideo,
        Kind::Garbage(_) => InputState::Garbage,
        _ => InputState::Waiting,
    }
}

/// A camera's stream properties, for the status.
pub(crate) fn stream_report(stream: &StreamInfo) -> StreamReport {
    let loss = if stream.knows_loss { LossDetection::Known } else { LossDetection::Unknown };
    StreamReport {
        codec: stream.codec.name().to_owned(),
        width: stream.size.map(|size| size.0),
        height: stream.size.map(|size| size.1),
        fps: stream.fps.map(|fps| fps.as_f64()),
        over: stream.carrier.to_string(),
        client: stream.client.map(|client| client.name().to_owned()),
        client_why: stream.client_why.as_deref().map(vas_media::redact),
        loss,
    }
}

/// The report that no decoder could be opened, and why.
pub(crate) fn no_decoder(why: Option<String>) -> DecoderReport {
    DecoderReport { why: why.as_deref().map(vas_media::redact), ..DecoderReport::default() }
}

/// Counters and state of an input: written by its threads, read by the status.
#[derive(Debug, Default)]
pub struct InputStats {
    /// What was received, decoded, exported and dropped.
    pub counters: Counters,
    /// What it is doing.
    pub state: StateCell,
}

impl InputStats {
    /// A snapshot of all of it.
    pub fn status(&self) -> InputStatus {
        let state = self.state.get();
        InputStatus {
            state: state.state,
            // Secrets should be masked by now; better to mask twice than to publish one.
            reason: vas_media::redact(&state.reason),
            since_s: state.since.map(|since| since.elapsed().as_secs()),
            stream: state.stream,
            received: self.counters.received(),
            received_bytes: self.counters.received_bytes(),
            reconnects: self.counters.reconnects(),
        }
    }

    /// What decodes it; `None` while nothing is decoded.
    pub fn decoder(&self) -> Option<DecoderReport> {
        self.state.get().decoder
    }
}

/// State, reason, stream and decoder: written by the input's threads on changes, read by the
/// status.
#[derive(Debug, Default)]
pub struct StateCell(Mutex<Inner>);

#[derive(Debug, Clone, Default)]
struct Inner {
    state: InputState,
    reason: String,
    since: Option<Instant>,
    stream: Option<StreamReport>,
    decoder: Option<DecoderReport>,
}

impl StateCell {
    /// Changes the state and its reason.
    pub fn set(&self, state: InputState, reason: impl Into<String>) {
        let mut inner = self.lock();
        if inner.state != state || inner.since.is_none() {
            inner.since = Some(Instant::now());
        }
        inner.state = state;
        inner.reason = reason.into();
    }

    pub(crate) fn set_stream(&self, stream: StreamReport) {
        self.lock().stream = Some(stream);
    }

    pub(crate) fn set_decoder(&self, decoder: Option<DecoderReport>) {
        self.lock().decoder = decoder;
    }

    fn get(&self) -> Inner {
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
    fn each_failure_has_its_state() {
        let timed_out =
            || SourceErrorKind::TimedOut { what: "a packet", limit: std::time::Duration::ZERO };
        assert_eq!(state_after(&timed_out(), true), InputState::Silent);
        assert_eq!(state_after(&timed_out(), false), InputState::Unreachable);
        assert_eq!(
            state_after(&SourceErrorKind::Refused { status: 401 }, false),
            InputState::Refused
        );
        assert_eq!(state_after(&SourceErrorKind::NoSuchPath, false), InputState::NoVideo);
        assert_eq!(state_after(&SourceErrorKind::Ended, true), InputState::Waiting);
    }

    #[test]
    fn since_is_the_change_of_state_not_of_words() {
        let cell = StateCell::default();
        cell.set(InputState::Waiting, "a");
        let first = cell.get().since;
        cell.set(InputState::Waiting, "b");
        assert_eq!((cell.get().since, cell.get().reason.as_str()), (first, "b"));
        cell.set(InputState::Streaming, "");
        assert!(cell.get().since >= first);
    }
}
