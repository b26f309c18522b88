//! The demux thread: connects, reads, counts, passes packets on; and reconnects after a failure.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vas_config::Input;
use vas_media::{
    Carrier, ClientLadder, Coalescing, Packet, RtspClient, Source, SourceError, SourceErrorKind,
    SourceRequest, StopFlag,
};
use vas_status::InputState;

use super::feed::Feed;
use super::state::{InputStats, state_after, stream_report};
use vas_backoff::Backoff;

/// All that the thread needs.
pub(super) struct Demux {
    request: SourceRequest,
    clients: ClientLadder,
    stop: StopFlag,
    coalescing: Coalescing,
    feeds: Vec<Feed>,
    stats: Arc<InputStats>,
}

/// How a stream ended.
enum Over {
    /// Stopped from outside.
    Stopped,
    /// A file was played to its end.
    Played,
    /// It did not open, or it broke off.
    Failed(Failure),
}

/// Why a stream is to be retried.
struct Failure {
    kind: SourceErrorKind,
    /// The RTSP client, if the stream was opened.
    client: Option<RtspClient>,
    /// How long packets came.
    streamed: Option<Duration>,
    /// How long the camera may keep the old session.
    survives: Option<Duration>,
}

impl Failure {
    fn opening(kind: SourceErrorKind) -> Self {
        Self { kind, client: None, streamed: None, survives: None }
    }
}

impl Demux {
    pub(super) fn new(
        input: &Input,
        (stop, coalescing): (StopFlag, Coalescing),
        feeds: Vec<Feed>,
        stats: Arc<InputStats>,
    ) -> Self {
        let sound = feeds.iter().any(Feed::takes_sound);
        let request = SourceRequest { sound, ..request(input) };
        Self { request, clients: ClientLadder::new(), stop, coalescing, feeds, stats }
    }

    pub(super) fn run(mut self) {
        let mut backoff = Backoff::jittered(RandomState::new().hash_one(&self.request.url));
        loop {
            self.stats.state.set(InputState::Connecting, "");
            let failure = match self.stream() {
                Over::Stopped => return,
                Over::Played => {
                    tracing::info!("played to its end");
                    self.stats.state.set(InputState::Ended, "the file was played to its end");
                    return;
                }
                Over::Failed(failure) => failure,
            };
            let state = state_after(&failure.kind, failure.streamed.is_some());
            if state == InputState::Failed {
                tracing::error!("{}", failure.kind);
                self.stats.state.set(state, failure.kind.to_string());
                return;
            }
            self.stats.counters.reconnected();
            // In some clients, sound that can't be parsed ends the whole session.
            if self.request.sound && matches!(failure.kind, SourceErrorKind::Garbage(_)) {
                tracing::warn!("no longer requesting sound, which may be what can't be parsed");
                self.request.sound = false;
            }
            if self.changes_client(&failure) {
                continue;
            }
            // A camera that ends each stream at once is not asked for many.
            if failure.streamed.is_some_and(|streamed| streamed >= backoff.longest()) {
                backoff.reset();
            }
            let wait = backoff.failed();
            let (wait, reason) = with_old_session(wait, &failure);
            tracing::warn!("{reason}; trying again in {:.1} s", wait.as_secs_f32());
            self.stats.state.set(state, reason);
            if self.stop.wait_for(wait) {
                return;
            }
        }
    }

    /// Whether to change to the other RTSP client, which is tried at once: the camera is reachable.
    fn changes_client(&mut self, failure: &Failure) -> bool {
        let streamed = failure.streamed.unwrap_or_default();
        let changes = self.request.client == RtspClient::Auto
            && self.clients.ended(failure.client, &failure.kind, streamed, Instant::now());
        if changes {
            tracing::warn!("{}; FFmpeg's RTSP client takes over", failure.kind);
        }
        changes
    }

    /// Plays one stream from start to end.
    fn stream(&mut self) -> Over {
        let opened = vas_media::open_again(&self.request, &mut self.clients, &self.stop);
        let mut source = match opened {
            Ok(source) => source,
            Err(error) if matches!(error.kind, SourceErrorKind::Stopped) => return Over::Stopped,
            Err(error) => return Over::Failed(Failure::opening(error.kind)),
        };
        source.coalesce(self.coalescing.clone());
        let stream = source.stream();
        tracing::info!("{stream} over {}", stream.carrier);
        let (carrier, client) = (stream.carrier, stream.client);
        self.stats.state.set_stream(stream_report(stream));
        self.feeds.iter().for_each(|feed| feed.begin(stream));
        let mut first = None;
        let end = self.packets(source.as_mut(), &mut first);
        self.count_withheld(&source.withheld());
        self.count_withheld(&source.left_out());
        self.feeds.iter().for_each(Feed::end);
        let kind = match end {
            Ok(()) if matches!(carrier, Carrier::File) => return Over::Played,
            Ok(()) => SourceErrorKind::Ended,
            Err(SourceError { kind: SourceErrorKind::Stopped, .. }) => return Over::Stopped,
            Err(error) => error.kind,
        };
        let streamed = first.map(|first: Instant| first.elapsed());
        Over::Failed(Failure { kind, client, streamed, survives: source.close() })
    }

    /// Passes packets on until there are no more; `first` is when they began.
    fn packets(
        &self,
        source: &mut dyn Source,
        first: &mut Option<Instant>,
    ) -> Result<(), SourceError> {
        let mut size = source.stream().size;
        while let Some(packet) = source.next_packet()? {
            self.count_withheld(&source.left_out());
            // The description may have stated another size, and a camera may be reconfigured.
            if source.stream().size != size {
                size = source.stream().size;
                self.stats.state.set_stream(stream_report(source.stream()));
            }
            if packet.is_sound() {
                self.hand_on_sound(&packet);
                continue;
            }
            if first.is_none() {
                *first = Some(Instant::now());
                self.stats.state.set(InputState::Streaming, "");
            }
            self.stats.counters.received_packet(packet.size());
            self.hand_on(packet);
        }
        Ok(())
    }

    /// Counts packets that arrived but were withheld or left out: as received, and as lost to each branch.
    fn count_withheld(&self, sizes: &[usize]) {
        if sizes.is_empty() {
            return;
        }
        sizes.iter().for_each(|bytes| self.stats.counters.received_packet(*bytes));
        self.feeds.iter().for_each(|feed| feed.withheld(sizes.len() as u64));
    }

    /// Gives the branches that take sound a reference to the packet. It does not count as received.
    fn hand_on_sound(&self, packet: &Packet) {
        self.feeds
            .iter()
            .filter(|feed| feed.takes_sound())
            .for_each(|feed| feed.packet(packet.clone()));
    }

    /// Gives each branch a reference to the packet; the last one gets ours.
    fn hand_on(&self, packet: Packet) {
        let Some((last, others)) = self.feeds.split_last() else { return };
        others.iter().for_each(|feed| feed.packet(packet.clone()));
        last.packet(packet);
    }
}

/// How long to wait, and why: a camera that may still serve the old session is not contacted until
/// that expires. Many serve only a few at once, and some send an old session's packets to the new
/// one.
fn with_old_session(wait: Duration, failure: &Failure) -> (Duration, String) {
    match failure.survives {
        Some(survives) if survives > wait => {
            let seconds = survives.as_secs_f32();
            let words = "its old session was not ended and may last for";
            (survives, format!("{}; {words} {seconds:.0} s more", failure.kind))
        }
        _ => (wait, failure.kind.to_string()),
    }
}

/// The request with which an input is opened.
pub fn request(input: &Input) -> SourceRequest {
    SourceRequest {
        url: input.url.to_secret_string(),
        transport: input.transport,
        client: input.rtsp_client,
        connect_timeout: input.connect_timeout,
        read_timeout: input.read_timeout,
        sound: false,
    }
}
