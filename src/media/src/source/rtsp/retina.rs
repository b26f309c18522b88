//! A camera over RTSP, by the crate retina: it says what was lost, and hands out sender reports.
//!
//! Each source drives its session on a runtime of its own, on the caller's thread: a camera that misbehaves
//! holds up no other, and no thread is added.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use retina::client::{
    Credentials, Described, InitialTimestampPolicy, PlayOptions, Session, SessionOptions,
    SetupOptions, TcpTransportOptions, UdpTransportOptions,
};
use retina::codec::{FrameFormat, ParameterSetInsertion};
use url::Url;

use super::Limit;
use super::endings::{BadPackets, Endings, HOLD, Kind};
use super::link::{Coming, Link, Playing};
use super::media::{Media, Parameters, Picture};
use super::receive_buffer;
use super::report::CameraClock;
use super::sound::SoundTrack;
use super::track::{self, Made, Track};
use super::words;
use crate::error::{Cause, SourceError, SourceErrorKind};
use crate::packet::Packet;
use crate::redact::redact;
use crate::request::{RtspClient, SourceRequest, Transport};
use crate::sound::Sound;
use crate::source::Source;
use crate::stop::StopFlag;
use crate::stream::{Carrier, StreamInfo};

/// Pictures read ahead for the rate, where nothing states it.
const PICTURES_FOR_RATE: usize = 3;
/// For how long they are waited for at most, once all else is known: a camera may send a picture a minute.
const WAIT_FOR_RATE: Duration = Duration::from_secs(1);

/// What is waited for first.
const ANSWER: &str = "the camera's answer";
/// What a camera does whose markers are not the ends of pictures.
const FALSE_MARKERS: &str = "pictures whose marker is set before their end";

/// An RTSP session that plays.
pub(super) struct Camera {
    link: Link,
    track: Track,
    sound: Option<SoundTrack>,
    stream: StreamInfo,
    /// Read ahead while the camera was opened.
    ahead: VecDeque<Coming>,
    /// Ready to be given out.
    ready: VecDeque<Packet>,
    /// Held back until it is known that it ended.
    held: Option<Made>,
    /// Size of the picture that ended the session.
    refused: Option<usize>,
    /// How the session ended, once what was held back is given out.
    over: Option<SourceErrorKind>,
    endings: Endings,
    /// FFmpeg's client is tried where retina does badly; otherwise pictures are marked.
    strict: bool,
    watch: StartWatch,
    stop: StopFlag,
    url: String,
    read_timeout: Duration,
    /// Until when a picture is waited for. Sound is no reason to wait any longer.
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
        // The login was right for the description: what was refused later is a nonce that ran out.
        let failed_later = |error: retina::Error| match failed(error) {
            SourceErrorKind::Refused { status: 401 } => {
                SourceErrorKind::ClientLacks { what: "a second login within a session".into() }
            }
            // The camera itself was reached.
            SourceErrorKind::Unreachable(cause) => {
                let what = format!("a way to the address that the camera sends from ({cause})");
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
            let (mut told, mut sound) = match request.sound {
                true => SoundTrack::choose(&session),
                false => (Sound::None, None),
            };
            if let Some(track) = &sound {
                let setup = SetupOptions::default().transport(transport(carrier));
                if let Err(error) = session.setup(track.index, setup.frame_format(FORMAT)).await {
                    let why = format!("the camera refuses to send it: {}", failed(error));
                    (told, sound) = (Sound::LeftOut { why }, None);
                }
            }
            // Each track from its own first packet, sound or none: `rtptime` is wrong with many cameras.
            let options = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Ignore);
            let playing = session.play(options).await.map_err(failed_later)?;
            let sounding = sound.as_ref().map(|sound| sound.index);
            let media = Media::of(playing, index, sounding).map_err(failed)?;
            Ok((media, index, granted, told, sound))
        };
        let set_up = match request.client {
            RtspClient::Auto => link.wait_while_it_answers(limit, stop, ANSWER, work),
            _ => link.wait(limit, stop, ANSWER, work),
        };
        let (session, index, granted, told, sound) = set_up?;
        link.session = Some(session);
        link.track = index;
        link.sound = sound.as_ref().map(|sound| sound.index);
        let watch = StartWatch::new(carrier, granted);
        let opening = Opening { link, carrier, watch, told, sound };
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
                Ok(Playing::Picture(coming)) => self.picture(coming)?,
                Ok(Playing::Sound(frame)) => {
                    if let Some(sound) = &self.sound {
                        let packet = sound.packet(&frame);
                        return packet.map_err(|error| SourceErrorKind::Broken(error.into()));
                    }
                }
                Ok(Playing::Left) => {}
                Err(kind) => {
                    let Some(held) = self.held.take() else { return Err(kind) };
                    // Nothing of it came any more.
                    self.whole(held);
                    // A report of the camera may have come meanwhile, which makes `Stalled` of the same.
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

    /// Waits for what comes next; only for a while when a picture is held back.
    fn playing(&mut self, limit: &Limit) -> Result<Playing, SourceErrorKind> {
        if let Some(coming) = self.ahead.pop_front() {
            return Ok(Playing::Picture(coming));
        }
        let limit = if self.held.is_some() { limit.at_most(HOLD) } else { *limit };
        let (track, sound) = (&mut self.track, &mut self.sound);
        let report = |of, ntp, ticks| match sound {
            Some(sound) if sound.index == of => sound.report(ntp, ticks),
            _ => track.report(ntp, ticks),
        };
        self.link.frame(&limit, &self.stop, "a packet", report)
    }

    /// Makes a packet of a picture: ready to be given out, or held back.
    fn picture(&mut self, coming: Coming) -> Result<(), SourceErrorKind> {
        let Coming { picture, lost } = coming;
        self.watch.look(&picture, lost);
        let lost = lost || picture.lost();
        let (ticks, size) = (picture.ticks(), picture.size());
        let is_new = picture.has_new_parameters();
        let parameters = if is_new { self.link.parameters() } else { None };
        if let Some(parameters) = parameters {
            self.stream.size = Some(parameters.size());
        }
        let parameters = parameters.and_then(Parameters::stated);
        let made = self.track.packet(picture, parameters, lost);
        let made = made.map_err(|error| {
            self.refused = Some(size);
            SourceErrorKind::Broken(error.into())
        })?;
        let Some(mut made) = made else { return Ok(()) };
        // What is left of a picture of which something was lost may come by itself.
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
            self.whole(held);
        }
        match self.endings.is_proven(kind_of(&made)) {
            true => self.ready.push_back(made.packet),
            false => self.held = Some(made),
        }
        Ok(())
    }

    /// Gives a picture out that was held back.
    fn whole(&mut self, held: Made) {
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

    fn withheld(&self) -> Vec<usize> {
        let ready = self.ready.iter().filter(|packet| !packet.is_sound()).map(Packet::size);
        let held = self.held.iter().map(|held| held.packet.size());
        let ahead = self.ahead.iter().map(|coming| coming.picture.size());
        ready.chain(held).chain(self.refused).chain(ahead).collect()
    }

    fn close(mut self: Box<Self>) -> Option<Duration> {
        self.link.goodbye()
    }
}

/// A session that plays, of which too little is known yet.
struct Opening {
    link: Link,
    carrier: Carrier,
    watch: StartWatch,
    told: Sound,
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
        let mut comings: VecDeque<Coming> = VecDeque::new();
        let (clock_hz, mut fps) = self.link.described();
        let mut for_rate = None;
        let mut enough = false;
        let (track, mut stream) = loop {
            enough |= comings.len() >= PICTURES_FOR_RATE;
            if enough {
                let shown = comings.iter().map(|coming| coming.picture.ticks());
                fps = fps.or(track::measured_rate(&shown.collect::<Vec<_>>(), clock_hz));
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
            match self.link.frame(&limit, stop, "the stream's first pictures", report) {
                // Nothing can be made of pictures without their parameter sets.
                Ok(Playing::Picture(coming)) if self.link.parameters().is_some() => {
                    comings.push_back(coming);
                }
                // Sound that comes meanwhile is let go.
                Ok(_) => {}
                Err(SourceErrorKind::TimedOut { .. } | SourceErrorKind::Stalled { .. })
                    if for_rate.is_some() =>
                {
                    enough = true;
                }
                Err(kind) => return Err(kind),
            }
        };
        stream.sound = self.told;
        Ok(Camera {
            link: self.link,
            track,
            sound: self.sound,
            stream,
            ahead: comings,
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

/// Lengths before NAL units: units are found without a search, and start codes have the same size.
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

/// The track to play, if retina can take it apart.
fn choose(session: &Session<Described>) -> Result<usize, SourceErrorKind> {
    let lacks = |what: String| SourceErrorKind::ClientLacks { what };
    let streams = session.streams();
    let index = streams.iter().position(|stream| stream.media() == "video");
    let index = index.ok_or(SourceErrorKind::NoVideo)?;
    let name = streams[index].encoding_name();
    if !["h264", "h265", "jpeg"].contains(&name) {
        return Err(lacks(format!("the codec {}", Cause::said(&name))));
    }
    if track::has_several_parameter_sets(&String::from_utf8_lossy(session.sdp())) {
        return Err(lacks("several parameter sets of one kind".into()));
    }
    if track::has_decoding_order_numbers(&String::from_utf8_lossy(session.sdp())) {
        // Nor does FFmpeg 5.1's client: it takes the number from each fragment, not from the first, and leaves it in
        // whole units.
        let what =
            "H.265 with decoding order numbers (sprop-max-don-diff above 0): set 0 in the camera";
        return Err(SourceErrorKind::Unplayable { what });
    }
    Ok(index)
}

/// The ports on which the session receives, as retina shows them: `ADDRESS:RTP-RTCP(me) -> ...`.
fn local_ports(session: &Session<Described>, index: usize) -> Vec<u16> {
    let shown = session.streams()[index].ctx().map(ToString::to_string).unwrap_or_default();
    ports_in(&shown)
}

fn ports_in(shown: &str) -> Vec<u16> {
    let Some((ours, _)) = shown.split_once("(me)") else { return Vec::new() };
    let Some((_, ports)) = ours.rsplit_once(':') else { return Vec::new() };
    ports.split('-').filter_map(|port| port.parse().ok()).collect()
}

/// The URL as it is asked for, and what was in it of a login.
fn split_credentials(url: &str) -> Result<(Url, Option<Credentials>), SourceErrorKind> {
    let bad = |reason: String| SourceErrorKind::BadUrl { reason };
    let mut url = Url::parse(url).map_err(|error| bad(error.to_string()))?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let username = decoded(url.username());
    let password = decoded(url.password().unwrap_or_default());
    let given = !url.username().is_empty() || url.password().is_some();
    let stripped = url.set_password(None).and_then(|()| url.set_username(""));
    stripped.map_err(|()| bad("it has a login where none can be".into()))?;
    Ok((url, given.then_some(Credentials { username, password })))
}

/// Tells an operator when the start of a UDP session looks like too small a receive buffer.
#[derive(Clone, Copy, Debug)]
struct StartWatch {
    /// Bytes of the receive buffer, as far as known.
    granted: Option<usize>,
    /// Frames still looked at.
    left: u32,
}

impl StartWatch {
    /// The burst at the start is the first key frame and what waited behind it.
    const FRAMES: u32 = 10;

    fn new(carrier: Carrier, granted: Option<usize>) -> Self {
        Self { granted, left: if carrier == Carrier::Udp { Self::FRAMES } else { 0 } }
    }

    fn look(&mut self, picture: &Picture, lost: bool) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        if !picture.lost() && !lost {
            return;
        }
        self.left = 0;
        let kib = |bytes: usize| bytes / 1024;
        tracing::warn!(
            "packets were lost at the very start; the receive buffer is {}, of the {} KiB asked for: \
             raise net.core.rmem_max (see the guide on operating) if this happens at every start",
            self.granted.map_or("unknown".into(), |granted| format!("{} KiB", kib(granted))),
            kib(receive_buffer::WANTED_BYTES),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::{jpeg, media};
    use super::*;

    /// A session of JPEG that plays, by itself.
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

    fn coming(ticks: i64, bytes: usize) -> Coming {
        let (size, received) = ((64, 48), Instant::now());
        let picture = jpeg::Picture { data: vec![0; bytes], size, ticks, received, lost: false };
        Coming { picture: Picture::Jpeg { track: 0, picture, is_new: false }, lost: false }
    }

    #[test]
    fn what_was_held_back_when_the_client_changes_is_known() {
        let mut camera = camera(true);
        camera.ahead = [coming(0, 10), coming(0, 20), coming(3000, 40)].into();
        let error = camera.packet().unwrap_err();
        assert!(matches!(error, SourceErrorKind::ClientLacks { .. }), "{error}");
        assert_eq!(camera.withheld(), [10, 20, 40], "one held back, one at hand, one read ahead");
    }

    #[test]
    fn what_is_given_out_is_not_withheld() {
        let mut camera = camera(false);
        camera.ahead = [coming(0, 10), coming(0, 20), coming(3000, 40)].into();
        let sizes: Vec<_> = std::iter::from_fn(|| camera.packet().ok().map(|p| p.size())).collect();
        assert_eq!(sizes, [10, 20, 40]);
        assert!(camera.withheld().is_empty());
    }

    #[test]
    fn credentials_leave_the_url() {
        let (url, credentials) = split_credentials("rtsp://u%40:p%3Aw@10.0.0.2:554/a?b=c").unwrap();
        assert_eq!(url.as_str(), "rtsp://10.0.0.2:554/a?b=c");
        let credentials = credentials.unwrap();
        assert_eq!((&*credentials.username, &*credentials.password), ("u@", "p:w"));
        assert_eq!(split_credentials("rtsp://10.0.0.2/a").unwrap().1, None);
        let (url, credentials) = split_credentials("rtsp://u@[::1]/a").unwrap();
        assert_eq!((url.as_str(), credentials.unwrap().password.as_str()), ("rtsp://[::1]/a", ""));
    }

    #[test]
    fn ports_are_read_from_what_retina_shows() {
        let shown = "127.0.0.1:40000-40001(me) -> 127.0.0.1:5000-5001";
        assert_eq!(ports_in(shown), [40000, 40001]);
        assert_eq!(ports_in("::1:40000-40001(me) -> ::1:5000-5001"), [40000, 40001]);
        assert!(ports_in("TCP, interleaved channel ids 0-1").is_empty());
    }
}
