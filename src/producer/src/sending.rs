//! The sending thread: it waits for pictures, for the time when a packet is due, and for RTCP, all
//! at once.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vas_config::Producer;
use vas_endpoint::{NotSent, Received, RtpEndpoint, RtpSockets, StreamState};
use vas_frame::CameraId;
use vas_media::{Codec, Packet, StreamInfo, monotonic_ns};
use vas_pipeline::{Item, PacketQueue, Taken, Wakeup};
use vas_rtp::{AccessUnit, Continuity, Framing, NalCodec, Now, Poll, Refusal, Sender};
use vas_status::{NotProduced, ProducerState};

use super::parameters::identity;
use super::peers::{Advance, Peers};
use super::stats::{Counted, ProducerStats};

/// The largest RTCP datagram that is read; a longer one is cut and then rejected.
const MAX_RTCP: usize = 2048;
/// Most datagrams that are read at once: a flood must not keep us from sending.
const MAX_RECEIVED: usize = 32;
/// How long without a picture until that is reported.
const QUIET_NS: u64 = 2_000_000_000;
/// How long after the last ICMP error packets are assumed to arrive. Only some packets are answered
/// by one: the kernel limits their rate.
const GONE_NS: u64 = 3_000_000_000;

/// The queue's item at the start of a stream.
pub(super) trait Beginning {
    /// Parameter sets from outside the stream.
    fn configuration(&self) -> &[u8];
    /// Why it can't be sent at all.
    fn refusal(&self) -> Option<String>;
}

impl Beginning for StreamInfo {
    fn configuration(&self) -> &[u8] {
        self.parameters.configuration()
    }

    fn refusal(&self) -> Option<String> {
        (self.codec != Codec::H264).then(|| {
            format!(
                "the camera sends {}, which WebRTC does not take; re-encode it with `video = \"h264\"`",
                self.codec.name()
            )
        })
    }
}

/// Passes a viewer's request for a key frame to the encoder.
#[derive(Debug, Default)]
pub(super) struct KeyWanted(AtomicBool);

impl KeyWanted {
    pub(super) fn want(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// All that the thread needs.
pub(super) struct Sending<S> {
    sender: Sender<Packet>,
    queue: Arc<PacketQueue<Packet, S>>,
    sockets: Arc<RtpSockets>,
    /// Set where the config has names.
    peers: Option<Peers>,
    /// Why there is no destination, as last logged.
    no_peer: String,
    stream_state: Arc<StreamState>,
    stats: Arc<ProducerStats>,
    wakeup: Arc<Wakeup>,
    keys: Option<Arc<KeyWanted>>,
    framing: Framing,
    /// Why the stream can't be sent.
    refused: Option<String>,
    state: ProducerState,
    last_picture_ns: u64,
    /// When the peer was last reported gone.
    refused_ns: u64,
}

impl<S: Beginning> Sending<S> {
    pub(super) fn new(
        camera: &CameraId,
        producer: &Producer,
        endpoint: RtpEndpoint,
        queue: Arc<PacketQueue<Packet, S>>,
        stats: Arc<ProducerStats>,
        wakeup: Arc<Wakeup>,
        keys: Option<Arc<KeyWanted>>,
    ) -> Self {
        let RtpEndpoint { sockets, stream_state } = endpoint;
        let peers = Peers::of(producer, sockets.peer(), &wakeup);
        if peers.is_some() && sockets.peer().is_none() {
            stats.set_state(ProducerState::Waiting, format!("looking {} up", producer.rtp));
        }
        // It was written before it came here.
        let from = stream_state.load().unwrap_or_else(|error| {
            tracing::error!("can't read the stream state, so viewers see a jump: {error}");
            Continuity::beginning(0, 0)
        });
        let sender = Sender::new(identity(camera, producer), from);
        Self {
            sender,
            queue,
            sockets,
            peers,
            no_peer: String::new(),
            stream_state,
            stats,
            wakeup,
            keys,
            framing: Framing::AnnexB,
            refused: None,
            state: ProducerState::Waiting,
            last_picture_ns: 0,
            refused_ns: 0,
        }
    }

    /// Sends until the queue is closed.
    pub(super) fn run(mut self) {
        self.stats.set_from(self.sockets.local());
        self.queue.wakes(&self.wakeup);
        loop {
            self.wakeup.clear();
            self.find_peer();
            self.receive();
            let Some(until_ns) = self.send() else { return };
            let peers_ns = self.peers.as_ref().and_then(Peers::next_ns);
            self.wait(until_ns.into_iter().chain(peers_ns).min());
        }
    }

    /// Continues the look-up, and connects once it has an address.
    fn find_peer(&mut self) {
        let Some(peers) = &mut self.peers else { return };
        let now_ns = monotonic_ns();
        let mut step = peers.advance(now_ns, self.state == ProducerState::PeerGone);
        if let Advance::Found(peer) = step {
            step = match self.sockets.connect(peer) {
                Ok(()) => {
                    tracing::info!("the transport's address is {}", peer.0);
                    self.stats.set_from(self.sockets.local());
                    self.no_peer.clear();
                    if self.state != ProducerState::Refused {
                        self.set_state(ProducerState::Waiting, "");
                    }
                    Advance::Nothing
                }
                Err(error) => {
                    peers.not_reached(format!("can't connect to {}: {error}", peer.0), now_ns)
                }
            };
        }
        if let Advance::Failed(words) = step {
            let words = format!("{words}; trying again");
            if words != self.no_peer {
                tracing::warn!("{words}");
                self.no_peer.clone_from(&words);
            }
            if self.state != ProducerState::Refused {
                self.set_state(ProducerState::PeerGone, words);
            }
        }
    }

    /// Sends what is due. Returns when the next packet is due, or `None` when the queue is closed.
    fn send(&mut self) -> Option<Option<u64>> {
        loop {
            if self.sender.is_idle() && !self.next_picture() {
                return None;
            }
            let now = now();
            match self.sender.poll(now) {
                Poll::Rtp(packet, continuity) => {
                    // Existing memory can be written; if this still fails, a successor would repeat
                    // numbers.
                    if let Err(error) = self.stream_state.store(continuity) {
                        tracing::debug!("can't store the stream state: {error}");
                    }
                    let sent = self.sockets.send_rtp(packet);
                    self.stats.count(Counted::Packets, 1);
                    self.stats.count(Counted::Bytes, packet.len() as u64);
                    self.note(sent);
                }
                Poll::Rtcp(report) => {
                    // A fault of the route shows in the media's sends.
                    let _ = self.sockets.send_rtcp(report);
                }
                Poll::Wait(until_ns) => {
                    if !self.sender.is_idle() {
                        return Some(until_ns);
                    }
                    let quiet_ns = self.last_picture_ns + QUIET_NS;
                    if self.state == ProducerState::Sending && now.monotonic_ns >= quiet_ns {
                        self.set_state(ProducerState::Waiting, "the camera delivers no pictures");
                    }
                    let quiet_ns = (self.state == ProducerState::Sending).then_some(quiet_ns);
                    return Some(until_ns.into_iter().chain(quiet_ns).min());
                }
            }
        }
    }

    /// Begins the next picture that can be sent, if any; `false` when the queue is closed.
    fn next_picture(&mut self) -> bool {
        loop {
            match self.queue.try_pop() {
                Taken::Closed => return false,
                Taken::Nothing => return true,
                Taken::Item(Item::End) => {}
                Taken::Item(Item::Stream(stream)) => self.begin(stream.as_ref()),
                Taken::Item(Item::Packet(packet)) => {
                    if self.picture(packet) {
                        return true;
                    }
                }
            }
        }
    }

    fn begin(&mut self, stream: &S) {
        self.sender.begin_stream();
        let configuration = stream.configuration();
        self.framing = Framing::of(NalCodec::H264, configuration);
        if !configuration.is_empty()
            && let Err(refusal) = self.sender.learn(configuration)
        {
            tracing::debug!("can't use the stream's configuration: {refusal}");
        }
        self.refused = stream.refusal();
        if let Some(reason) = self.refused.clone() {
            self.refuse(reason);
        }
    }

    /// Whether the picture is now being sent.
    fn picture(&mut self, packet: Packet) -> bool {
        if self.refused.is_some() {
            self.stats.lose(NotProduced::Refused, 1);
            return false;
        }
        let is_key = packet.is_key();
        let picture = AccessUnit {
            framing: self.framing,
            is_key,
            pts_ns: packet.pts_ns(),
            arrival_ns: packet.arrival_ns(),
            data: packet,
        };
        match self.sender.push(picture) {
            Ok(()) => {
                self.last_picture_ns = monotonic_ns();
                self.stats.count(Counted::Pictures, 1);
                if is_key {
                    self.stats.count(Counted::KeyFrames, 1);
                    self.stats.set_profile(self.sender.parameters().profile_level_id());
                }
                true
            }
            Err(Refusal::BeforeKey) => {
                self.stats.lose(NotProduced::BeforeKey, 1);
                false
            }
            Err(refusal) => {
                self.stats.lose(NotProduced::Refused, 1);
                self.refuse(refusal.to_string());
                if refusal == Refusal::BFrames {
                    self.refused = Some(refusal.to_string());
                }
                false
            }
        }
    }

    fn refuse(&mut self, reason: String) {
        if self.state != ProducerState::Refused {
            tracing::warn!("the producer can't send this stream: {reason}");
        }
        self.set_state(ProducerState::Refused, reason);
    }

    fn set_state(&mut self, state: ProducerState, reason: impl Into<String>) {
        self.state = state;
        self.stats.set_state(state, reason);
    }

    /// Records the result of sending a packet.
    fn note(&mut self, sent: Result<(), NotSent>) {
        match sent {
            Ok(()) if self.state == ProducerState::Sending => {}
            Ok(()) if self.is_gone() => {}
            Ok(()) => {
                tracing::info!("sending to the transport");
                self.set_state(ProducerState::Sending, "");
            }
            Err(NotSent::Full) => self.stats.lose(NotProduced::SocketFull, 1),
            // The look-up has logged why.
            Err(NotSent::NoPeer) => self.stats.lose(NotProduced::NotSent, 1),
            Err(NotSent::PeerGone) => {
                self.stats.lose(NotProduced::PeerGone, 1);
                self.refused_ns = monotonic_ns();
                if self.state != ProducerState::PeerGone {
                    tracing::warn!("nothing listens at the transport's address (ICMP)");
                    self.set_state(
                        ProducerState::PeerGone,
                        "nothing listens at the transport's address (ICMP)",
                    );
                }
            }
            Err(NotSent::Failed(error)) => {
                self.stats.lose(NotProduced::NotSent, 1);
                if self.state != ProducerState::PeerGone {
                    tracing::warn!("can't send to the transport: {error}");
                    self.set_state(
                        ProducerState::PeerGone,
                        format!("can't send to the transport: {error}"),
                    );
                }
            }
        }
    }

    /// Whether the peer was gone a moment ago.
    fn is_gone(&self) -> bool {
        self.state == ProducerState::PeerGone
            && monotonic_ns() < self.refused_ns.saturating_add(GONE_NS)
    }

    /// Reads what the transport sends back.
    fn receive(&mut self) {
        let mut buffer = [0; MAX_RTCP];
        for _ in 0..MAX_RECEIVED {
            let datagram = match self.sockets.receive(&mut buffer) {
                Received::Datagram(datagram) => datagram,
                Received::Refused => {
                    self.note(Err(NotSent::PeerGone));
                    continue;
                }
                Received::Nothing => return,
            };
            let feedback = self.sender.receive(datagram);
            self.stats.count(Counted::Pli, feedback.pli.into());
            self.stats.count(Counted::Fir, feedback.fir.into());
            if let Some(reception) = feedback.reception {
                self.stats.set_reception(reception);
            }
            if let (true, Some(keys)) = (feedback.wants_key_frame(), &self.keys) {
                keys.want();
            }
        }
    }

    /// Sleeps until `until_ns`, or until a picture or RTCP arrives. While a picture is being sent
    /// the next one is no reason to wake.
    fn wait(&self, until_ns: Option<u64>) {
        let (rtp, rtcp) = self.sockets.descriptors();
        let queue = self.sender.is_idle().then(|| self.wakeup.as_fd());
        // An entry without a descriptor of its own watches RTP once more.
        let watched = [rtp, rtcp.unwrap_or(rtp), queue.unwrap_or(rtp)];
        let mut fds = watched.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let timeout = until_ns.map(|until_ns| {
            let ns = until_ns.saturating_sub(monotonic_ns());
            Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 }
        });
        // Interrupted or not, the loop checks everything again.
        let _ = poll(&mut fds, timeout.as_ref());
    }
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { monotonic_ns: monotonic_ns(), unix_ns: u64::try_from(unix.as_nanos()).unwrap_or(0) }
}
