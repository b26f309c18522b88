//! The demux thread: connect, read, count, hand on; and again after a failure.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vas_media::{
    Carrier, ClientLadder, Packet, RtspClient, Source, SourceError, SourceErrorKind, SourceRequest,
    StopFlag,
};

use vas_status::InputState;

use super::backoff::Backoff;
use super::feed::Feed;
use super::state::{InputStats, state_after, stream_report};
use vas_config::Input;

/// All that the thread needs.
pub(super) struct Demux {
    request: SourceRequest,
    clients: ClientLadder,
    stop: StopFlag,
    feeds: Vec<Feed>,
    stats: Arc<InputStats>,
}

/// How a stream came to its end.
enum Over {
    /// Stopped from outside.
    Stopped,
    /// A file was played to its end.
    Played,
    /// It did not open, or it broke off.
    Failed(Failure),
}

/// Why a stream is to be tried again.
struct Failure {
    kind: SourceErrorKind,
    /// What spoke RTSP, once the stream was open.
    client: Option<RtspClient>,
    /// For how long packets came.
    streamed: Option<Duration>,
    /// For how long the camera may keep the old session.
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
        stop: StopFlag,
        feeds: Vec<Feed>,
        stats: Arc<InputStats>,
    ) -> Self {
        let sound = feeds.iter().any(Feed::takes_sound);
        let request = SourceRequest { sound, ..request(input) };
        Self { request, clients: ClientLadder::new(), stop, feeds, stats }
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
            // Sound that can't be understood ends the whole session in some clients.
            if self.request.sound && matches!(failure.kind, SourceErrorKind::Garbage(_)) {
                tracing::warn!(
                    "from now on sound is not asked for: it may be what is not understood"
                );
                self.request.sound = false;
            }
            if self.changes_client(&failure) {
                continue;
            }
            // A camera that ends each stream at once is not made to begin many.
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

    /// Whether the other RTSP client takes over, which it does at once: the camera is there.
    fn changes_client(&mut self, failure: &Failure) -> bool {
        let streamed = failure.streamed.unwrap_or_default();
        let changes = self.request.client == RtspClient::Auto
            && self.clients.ended(failure.client, &failure.kind, streamed, Instant::now());
        if changes {
            tracing::warn!("{}; FFmpeg's RTSP client takes over", failure.kind);
        }
        changes
    }

    /// Plays one stream from its opening to its end.
    fn stream(&mut self) -> Over {
        let opened = vas_media::open_again(&self.request, &mut self.clients, &self.stop);
        let mut source = match opened {
            Ok(source) => source,
            Err(error) if matches!(error.kind, SourceErrorKind::Stopped) => return Over::Stopped,
            Err(error) => return Over::Failed(Failure::opening(error.kind)),
        };
        let stream = source.stream();
        tracing::info!("{stream} over {}", stream.carrier);
        let (carrier, client) = (stream.carrier, stream.client);
        self.stats.state.set_stream(stream_report(stream));
        self.feeds.iter().for_each(|feed| feed.begin(stream));
        let mut first = None;
        let end = self.packets(source.as_mut(), &mut first);
        self.count_withheld(&source.withheld());
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

    /// Hands packets on until there are no more; `first` is when they began.
    fn packets(
        &self,
        source: &mut dyn Source,
        first: &mut Option<Instant>,
    ) -> Result<(), SourceError> {
        let mut size = source.stream().size;
        while let Some(packet) = source.next_packet()? {
            // The description may have stated another, and a camera may be set anew.
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

    /// Counts what came and was not handed on: it is received, and lost to each branch.
    fn count_withheld(&self, sizes: &[usize]) {
        if sizes.is_empty() {
            return;
        }
        sizes.iter().for_each(|bytes| self.stats.counters.received_packet(*bytes));
        self.feeds.iter().for_each(|feed| feed.withheld(sizes.len() as u64));
    }

    /// Gives those branches that take sound a reference to the packet. It counts nowhere as received.
    fn hand_on_sound(&self, packet: &Packet) {
        self.feeds
            .iter()
            .filter(|feed| feed.takes_sound())
            .for_each(|feed| feed.packet(packet.clone()));
    }

    /// Gives each branch a reference to the packet, the last one ours.
    fn hand_on(&self, packet: Packet) {
        let Some((last, others)) = self.feeds.split_last() else { return };
        others.iter().for_each(|feed| feed.packet(packet.clone()));
        last.packet(packet);
    }
}

/// How long to wait, and why in words: a camera that may still serve the old session is left alone until that
/// has expired. Many serve but a few at once, and some send an old session's packets to the new one.
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

/// How an input is opened.
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
