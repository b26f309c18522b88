//! The demux thread: connect, read, count, hand on; and again after a failure.

use std::sync::Arc;

use vas_media::{Carrier, Packet, Source, SourceError, SourceErrorKind, SourceRequest, StopFlag};

use super::Shown;
use super::backoff::Backoff;
use super::feed::Feed;
use super::state::{State, StreamFacts};
use crate::config::Input;

/// All that the thread needs.
pub(super) struct Demux {
    request: SourceRequest,
    stop: StopFlag,
    feeds: Vec<Feed>,
    shown: Arc<Shown>,
}

/// How a stream came to its end.
enum Over {
    /// Stopped from outside.
    Stopped,
    /// A file was played to its end.
    Played,
    /// The camera ended the stream in order.
    Closed,
    /// It failed.
    Failed(SourceError),
}

impl Demux {
    pub(super) fn new(input: &Input, stop: StopFlag, feeds: Vec<Feed>, shown: Arc<Shown>) -> Self {
        Self { request: request(input), stop, feeds, shown }
    }

    pub(super) fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            self.shown.state.set(State::Connecting, "");
            let reason = match self.stream(&mut backoff) {
                Over::Stopped => return,
                Over::Played => {
                    tracing::info!("played to its end");
                    self.shown.state.set(State::Ended, "the file was played to its end");
                    return;
                }
                Over::Failed(SourceError {
                    kind: kind @ SourceErrorKind::BadUrl { .. }, ..
                }) => {
                    tracing::error!("{kind}");
                    self.shown.state.set(State::Failed, kind.to_string());
                    return;
                }
                Over::Closed => "the camera ended the stream".to_owned(),
                Over::Failed(error) => error.to_string(),
            };
            self.shown.counters.reconnected();
            let wait = backoff.failed();
            tracing::warn!("{reason}; trying again in {:.1} s", wait.as_secs_f32());
            self.shown.state.set(State::Waiting, reason);
            if self.stop.wait_for(wait) {
                return;
            }
        }
    }

    /// Plays one stream from its opening to its end.
    fn stream(&self, backoff: &mut Backoff) -> Over {
        let mut source = match vas_media::open(&self.request, &self.stop) {
            Ok(source) => source,
            Err(error) => return Self::failed(error),
        };
        let stream = source.stream();
        tracing::info!("{stream} over {}", stream.carrier);
        let carrier = stream.carrier;
        self.shown.state.set_stream(StreamFacts::of(stream));
        self.feeds.iter().for_each(|feed| feed.begin(stream));
        let over = self.packets(source.as_mut(), carrier, backoff);
        self.feeds.iter().for_each(Feed::end);
        over
    }

    fn packets(&self, source: &mut dyn Source, carrier: Carrier, backoff: &mut Backoff) -> Over {
        let counters = &self.shown.counters;
        let mut first = true;
        loop {
            let packet = match source.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) if matches!(carrier, Carrier::File) => return Over::Played,
                Ok(None) => return Over::Closed,
                Err(error) => return Self::failed(error),
            };
            if first {
                backoff.succeeded();
                self.shown.state.set(State::Streaming, "");
                first = false;
            }
            counters.received_packet(packet.size());
            self.hand_on(packet);
        }
    }

    /// Gives each branch a reference to the packet, the last one ours.
    fn hand_on(&self, packet: Packet) {
        let Some((last, others)) = self.feeds.split_last() else { return };
        others.iter().for_each(|feed| feed.share(&packet));
        last.packet(packet);
    }

    fn failed(error: SourceError) -> Over {
        if matches!(error.kind, SourceErrorKind::Stopped) {
            Over::Stopped
        } else {
            Over::Failed(error)
        }
    }
}

fn request(input: &Input) -> SourceRequest {
    SourceRequest {
        url: input.url.to_secret_string(),
        transport: input.transport,
        connect_timeout: input.connect_timeout,
        read_timeout: input.read_timeout,
    }
}
