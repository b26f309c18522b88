//! A camera over RTSP with the crate retina, which reports losses and sender reports.
//!
//! Each source runs its session on a runtime of its own, on the caller's thread: a misbehaving camera delays no other,
//! and there are no additional threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use retina::client::{
    InitialTimestampPolicy, PlayOptions, Session, SessionOptions, SetupOptions,
    TcpTransportOptions, UdpTransportOptions,
};
use retina::codec::{FrameFormat, ParameterSetInsertion};

use super::Limit;
use super::endings::{BadPackets, Endings, HOLD, Kind};
use super::link::{Link, Playing, Received};
use super::media::{Media, Parameters};
use super::receive_buffer;
use super::report::CameraClock;
use super::session::{StartWatch, choose, local_ports, split_credentials};
use super::sound::SoundTrack;
use super::track::{self, Made, Track};
use super::words;
use crate::coalescing::Coalescing;
use crate::error::{SourceError, SourceErrorKind};
use crate::packet::Packet;
use crate::sound::Sound;
use crate::source::Source;
use crate::stop::StopFlag;
use crate::stream::{Carrier, StreamInfo};
use vas_request::{RtspClient, SourceRequest, Transport, redact};

/// Pictures to read ahead to determine a frame rate that is not stated.
const PICTURES_FOR_RATE: usize = 3;
/// Longest time to wait for them once everything else is known: a camera may send one picture a minute.
const WAIT_FOR_RATE: Duration = Duration::from_secs(1);

/// What is waited for first.
const ANSWER: &str = "the camera's answer";
/// What retina lacks for cameras whose markers are not at the end of pictures.
const FALSE_MARKERS: &str = "pictures whose marker is set before their end";

/// An RTSP session that plays.
pub(super) struct Camera {
    link: Link,
    track: Track,
    sound: Option<SoundTrack>,
    stream: StreamInfo,
    /// Read ahead while the camera was opened.
    ahead: VecDeque<Received>,
    /// Ready to be returned.
    ready: VecDeque<Packet>,
    /// Held back until it is known to be complete.
    held: Option<Made>,
    /// Size of the picture that ended the session.
    refused: Option<usize>,
    /// How the session ended, to be returned after the held-back picture.
    over: Option<SourceErrorKind>,
    endings: Endings,
    /// If set, pictures that retina can't read correctly are an error, so that FFmpeg's client is tried; otherwise they
    /// are marked.
    strict: bool,
    watch: StartWatch,
    stop: StopFlag,
    url: String,
    read_timeout: Duration,
    /// The limit for the next picture. Sound does not extend it.
    limit: Option<Limit>,
}

impl Camera {
    pub(super) fn open(
        request: &SourceRequest,
        url: &str,
        limit: &Limit,
        stop: &StopFlag,
    ) -> Result<Self, SourceErrorKind> {
        let open = |carrier| Self::connect(request, url, carrier, limit, stop);
        match request.transport {
            Transport::Tcp => open(Carrier::Tcp),
            Transport::Udp => open(Carrier::Udp),
            Transport::Auto => match open(Carrier::Tcp) {
                Err(SourceErrorKind::NoTransport { .. }) => {
                    tracing::debug!("the camera refuses TCP (RTSP 461); trying UDP");
                    open(Carrier::Udp)
                }
                other => other,
            },
        }
    }

    fn connect(
        request: &SourceRequest,
        url: &str,
        carrier: Carrier,
        limit: &Limit,
        stop: &StopFlag,
    ) -> Result<Self, SourceErrorKind> {
        let (url, credentials) = split_credentials(url)?;
        let mut link = Link::new()?;
        let options = SessionOptions::default()
            .creds(credentials)
            .user_agent(concat!("vas/", env!("CARGO_PKG_VERSION")).to_owned())
            .session_group(Arc::clone(&link.group));
        let failed = |error: retina::Error| {
            words::opening(error.status_code(), &error.to_string(), request.transport)
        };
        // The login was accepted for the description, so a later refusal means that the nonce has expired.
        let failed_later = |error: retina::Error| match failed(error) {
            SourceErrorKind::Refused { status: 401 } => {
                SourceErrorKind::ClientLacks { what: "a second login within a session".into() }
            }
            // The camera itself is reachable.
            SourceErrorKind::Unreachable(cause) => {
                let what = format!("a route to the address that the camera sends from ({cause})");
                SourceErrorKind::ClientLacks { what }
            }
            other => other,
        };
        let work = async {
            let described = Session::describe(url, options).await.map_err(failed)?;
            let mut session = described;
            let index = choose(&session)?;
            let setup = SetupOptions::default().transport(transport(carrier));
            session.setup(index, setup.frame_format(FORMAT)).await.map_err(failed_later)?;
            let granted = match carrier {
                Carrier::Udp => receive_buffer::enlarge(&local_ports(&session, index)),
                _ => None,
            };
            let (mut outcome, mut sound) = match request.sound {
                true => SoundTrack::choose(&session),
                false => (Sound::None, None),
            };
            if let Some(track) = &sound {
                let setup = SetupOptions::default().transport(transport(carrier));
                if let Err(error) = session.setup(track.index, setup.frame_format(FORMAT)).await {
                    let why = format!("the camera refuses to send it: {}", failed(error));
                    (outcome, sound) = (Sound::LeftOut { why }, None);
                }
            }
            // Each track's time line begins with its first packet, since many cameras send a wrong `rtptime`.
            let options = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Ignore);
            let playing = session.play(options).await.map_err(failed_later)?;
            let sound_index = sound.as_ref().map(|sound| sound.index);
            let media = Media::of(playing, index, sound_index).map_err(failed)?;
            Ok((media, index, granted, outcome, sound))
        };
        let set_up = match request.client {
            RtspClient::Auto => link.wait_while_it_answers(limit, stop, ANSWER, work),
            _ => link.wait(limit, stop, ANSWER, work),
        };
        let (session, index, granted, outcome, sound) = set_up?;
        link.session = Some(session);
        link.track = index;
        link.sound = sound.as_ref().map(|sound| sound.index);
        let watch = StartWatch::new(carrier, granted);
        let opening = Opening { link, carrier, watch, outcome, sound };
        opening.until_known(request, limit, stop)
    }

    /// Waits for the next packet.
    fn packet(&mut self) -> Result<Packet, SourceErrorKind> {
        let limit = *self.limit.get_or_insert_with(|| Limit::from_now(self.read_timeout));
        loop {
            if self.stop.is_stopped() {
                return Err(SourceErrorKind::Stopped);
            }
            if let Some(packet) = self.ready.pop_front() {
                if !packet.is_sound() {
                    self.limit = None;
                }
                return Ok(packet);
            }
            if let Some(kind) = self.over.take() {
                return Err(kind);
            }
            match self.playing(&limit) {
                Ok(Playing::Picture(received)) => self.picture(received)?,
                Ok(Playing::Sound(frame)) => {
                    if let Some(sound) = &self.sound {
                        let packet = sound.packet(&frame);
                        return packet.map_err(|error| SourceErrorKind::Broken(error.into()));
                    }
                }
                Ok(Playing::Left) => {}
                Err(kind) => {
                    let Some(held) = self.held.take() else { return Err(kind) };
                    // No more of it arrived, so it is complete.
                    self.release(held);
                    // `Stalled` means the same if a report of the camera arrived meanwhile.
                    let is_hold_over = matches!(
                        kind,
                        SourceErrorKind::TimedOut { .. } | SourceErrorKind::Stalled { .. }
                    );
                    if !is_hold_over || limit.left().is_zero() {
                        self.over = Some(kind);
                    }
                }
            }
        }
    }

    /// Waits for the next item; only for [`HOLD`] while a picture is held back.
    fn playing(&mut self, limit: &Limit) -> Result<Playing, SourceErrorKind> {
        if let Some(received) = self.ahead.pop_front() {
            return Ok(Playing::Picture(received));
        }
        let limit = if self.held.is_some() { limit.at_most(HOLD) } else { *limit };
        let (track, sound) = (&mut self.track, &mut self.sound);
        let report = |of, ntp, ticks| match sound {
            Some(sound) if sound.index == of => sound.report(ntp, ticks),
            _ => track.report(ntp, ticks),
        };
        let prompt = self.held.is_some();
        self.link.frame(&limit, &self.stop, "a packet", prompt, report)
    }

    /// Converts a picture to a packet, which is ready or held back.
    fn picture(&mut self, received: Received) -> Result<(), SourceErrorKind> {
        let Received { picture, lost, arrival_ns } = received;
        self.watch.check(&picture, lost);
        let lost = lost || picture.lost();
        let (ticks, size) = (picture.ticks(), picture.size());
        let is_new = picture.has_new_parameters();
        let parameters = if is_new { self.link.parameters() } else { None };
        if let Some(parameters) = parameters {
            self.stream.size = Some(parameters.size());
        }
        let parameters = parameters.and_then(Parameters::stated);
        let made = self.track.packet(picture, arrival_ns, parameters, lost);
        let made = made.map_err(|error| {
            self.refused = Some(size);
            SourceErrorKind::Broken(error.into())
        })?;
        let Some(mut made) = made else { return Ok(()) };
        // After a loss within a picture, its remaining part may arrive separately.
        let continues = self.endings.continues(ticks) && !lost;
        if let Some(what) = made.lacks.or(continues.then_some(FALSE_MARKERS)) {
            if self.strict {
                self.refused = Some(size);
                return Err(SourceErrorKind::ClientLacks { what: what.into() });
            }
            made.packet.set_lost(true);
            if let Some(held) = &mut self.held {
                held.packet.set_lost(true);
            }
        }
        if let Some(held) = self.held.take() {
            self.release(held);
        }
        match self.endings.is_proven(kind_of(&made)) {
            true => self.ready.push_back(made.packet),
            false => self.held = Some(made),
        }
        Ok(())
    }

    /// Makes a held-back picture ready, since it is complete.
    fn release(&mut self, held: Made) {
        self.endings.prove(kind_of(&held));
        self.ready.push_back(held.packet);
    }
}

fn kind_of(made: &Made) -> Kind {
    if made.key { Kind::Key } else { Kind::Other }
}

impl Source for Camera {
    fn stream(&self) -> &StreamInfo {
        &self.stream
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, SourceError> {
        self.packet().map(Some).map_err(|kind| SourceError { url: self.url.clone(), kind })
    }

    fn coalesce(&mut self, allowed: Coalescing) {
        // Over UDP, a key frame larger than those before it could overflow the receive buffer. If a camera states no
        // common clock, its sound is synchronised by arrival.
        if self.stream.carrier == Carrier::Tcp && self.sound.is_none() {
            self.link.coalescing = Some(allowed);
        }
    }

    fn withheld(&self) -> Vec<usize> {
        let ready = self.ready.iter().filter(|packet| !packet.is_sound()).map(Packet::size);
        let held = self.held.iter().map(|held| held.packet.size());
        let ahead = self.ahead.iter().map(|received| received.picture.size());
        ready.chain(held).chain(self.refused).chain(ahead).collect()
    }

    fn close(mut self: Box<Self>) -> Option<Duration> {
        self.link.teardown()
    }
}

/// A session that plays, before its stream is known.
struct Opening {
    link: Link,
    carrier: Carrier,
    watch: StartWatch,
    outcome: Sound,
    sound: Option<SoundTrack>,
}

impl Opening {
    /// Reads pictures until the parameter sets and the rate are known.
    fn until_known(
        mut self,
        request: &SourceRequest,
        limit: &Limit,
        stop: &StopFlag,
    ) -> Result<Camera, SourceErrorKind> {
        let strict = request.client == RtspClient::Auto;
        self.link.bad_packets = strict.then(|| BadPackets::new(self.carrier == Carrier::Tcp));
        let mut clock = CameraClock::default();
        let mut ahead: VecDeque<Received> = VecDeque::new();
        let (clock_hz, mut fps) = self.link.described();
        let mut for_rate = None;
        let mut enough = false;
        let (track, mut stream) = loop {
            enough |= ahead.len() >= PICTURES_FOR_RATE;
            if enough {
                let times = ahead.iter().map(|received| received.picture.ticks());
                fps = fps.or(track::measured_rate(&times.collect::<Vec<_>>(), clock_hz));
            }
            let mut limit = *limit;
            if let Some(parameters) = self.link.parameters() {
                let known = Track::new(parameters, self.carrier, clock_hz, fps, clock);
                let lacks = || SourceErrorKind::ClientLacks { what: "this codec".into() };
                let known = known.ok_or_else(lacks)?;
                if enough || known.1.fps.is_some() {
                    break known;
                }
                limit = *for_rate.get_or_insert_with(|| limit.at_most(WAIT_FOR_RATE));
            }
            let sound = &mut self.sound;
            let report = |of, ntp, ticks| match sound {
                Some(sound) if sound.index == of => sound.report(ntp, ticks),
                _ => clock.report(ntp, ticks),
            };
            match self.link.frame(&limit, stop, "the stream's first pictures", true, report) {
                // Pictures without parameter sets are useless.
                Ok(Playing::Picture(received)) if self.link.parameters().is_some() => {
                    ahead.push_back(received);
                }
                // Sound that arrives meanwhile is dropped.
                Ok(_) => {}
                Err(SourceErrorKind::TimedOut { .. } | SourceErrorKind::Stalled { .. })
                    if for_rate.is_some() =>
                {
                    enough = true;
                }
                Err(kind) => return Err(kind),
            }
        };
        stream.sound = self.outcome;
        Ok(Camera {
            link: self.link,
            track,
            sound: self.sound,
            stream,
            ahead,
            ready: VecDeque::new(),
            held: None,
            refused: None,
            over: None,
            endings: Endings::default(),
            strict,
            watch: self.watch,
            stop: stop.clone(),
            url: redact(&request.url),
            read_timeout: request.read_timeout,
            limit: None,
        })
    }
}

/// Lengths before NAL units: finding units needs no search, and start codes of the same size can replace them.
const FORMAT: FrameFormat = {
    let mut format = FrameFormat::MP4;
    format.parameter_set_insertion = ParameterSetInsertion::Never;
    format
};

fn transport(carrier: Carrier) -> retina::client::Transport {
    match carrier {
        Carrier::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
        _ => retina::client::Transport::Tcp(TcpTransportOptions::default()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::media::Picture;
    use super::super::{jpeg, media};
    use super::*;

    /// A camera with JPEG that plays, without a session.
    fn camera(strict: bool) -> Camera {
        let parameters = media::Parameters::Jpeg { size: (64, 48) };
        let clock = CameraClock::default();
        let (track, stream) = Track::new(parameters, Carrier::Tcp, 90_000, None, clock).unwrap();
        Camera {
            link: Link::new().unwrap(),
            track,
            sound: None,
            stream,
            ahead: VecDeque::new(),
            ready: VecDeque::new(),
            held: None,
            refused: None,
            over: None,
            endings: Endings::default(),
            strict,
            watch: StartWatch::new(Carrier::Tcp, None),
            stop: StopFlag::new(),
            url: String::new(),
            read_timeout: Duration::from_secs(1),
            limit: None,
        }
    }

    fn received(ticks: i64, bytes: usize) -> Received {
        let (size, received) = ((64, 48), Instant::now());
        let picture = jpeg::Picture { data: vec![0; bytes], size, ticks, received, lost: false };
        let picture = Picture::Jpeg { track: 0, picture, is_new: false };
        Received { picture, lost: false, arrival_ns: 0 }
    }

    #[test]
    fn pictures_that_were_not_returned_are_withheld() {
        let mut camera = camera(true);
        camera.ahead = [received(0, 10), received(0, 20), received(3000, 40)].into();
        let error = camera.packet().unwrap_err();
        assert!(matches!(error, SourceErrorKind::ClientLacks { .. }), "{error}");
        assert_eq!(camera.withheld(), [10, 20, 40], "one held back, one refused, one read ahead");
    }

    #[test]
    fn returned_pictures_are_not_withheld() {
        let mut camera = camera(false);
        camera.ahead = [received(0, 10), received(0, 20), received(3000, 40)].into();
        let sizes: Vec<_> = std::iter::from_fn(|| camera.packet().ok().map(|p| p.size())).collect();
        assert_eq!(sizes, [10, 20, 40]);
        assert!(camera.withheld().is_empty());
    }
}
