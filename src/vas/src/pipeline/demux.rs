//! The demux thread: connect, read, count, hand on; and again after a failure.

use std::sync::Arc;

use vas_media::{Carrier, Source, SourceError, SourceErrorKind, SourceRequest, StopFlag};

use super::Shown;
use super::backoff::Backoff;
use super::queue::PacketQueue;
use super::state::{State, StreamFacts};
use crate::config::Camera;

/// All that the thread needs.
pub(super) struct Demux {
    request: SourceRequest,
    stop: StopFlag,
    queue: Option<Arc<PacketQueue>>,
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
    pub(super) fn new(
        camera: &Camera,
        stop: StopFlag,
        queue: Option<Arc<PacketQueue>>,
        shown: Arc<Shown>,
    ) -> Self {
        Self { request: request(camera), stop, queue, shown }
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
        if let Some(queue) = &self.queue {
            self.shown.counters.pushed(queue.push_stream(stream.clone()));
        }
        let over = self.packets(source.as_mut(), carrier, backoff);
        if let Some(queue) = &self.queue {
            self.shown.counters.pushed(queue.push_end());
        }
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
            if let Some(queue) = &self.queue {
                self.shown.counters.pushed(queue.push(packet));
            }
        }
    }

    fn failed(error: SourceError) -> Over {
        if matches!(error.kind, SourceErrorKind::Stopped) {
            Over::Stopped
        } else {
            Over::Failed(error)
        }
    }
}

fn request(camera: &Camera) -> SourceRequest {
    SourceRequest {
        url: camera.url.to_secret_string(),
        transport: camera.transport,
        connect_timeout: camera.connect_timeout,
        read_timeout: camera.read_timeout,
    }
}
