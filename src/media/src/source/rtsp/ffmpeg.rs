//! A camera over RTSP with FFmpeg's demuxer.

use std::ffi::CString;
use std::time::Duration;

use ffmpeg_sys_next as ffi;

use super::outliers::Outliers;
use super::reorder::DecodeTimes;
use super::resumed::Resumed;
use super::session::DECODING_ORDER_NUMBERS;
use super::{Limit, jpeg};
use crate::av::{AvError, Options};
use crate::clock::monotonic_ns;
use crate::codec::Codec;
use crate::error::{SourceError, SourceErrorKind};
use crate::log;
use crate::mux::RawTimes;
use crate::packet::Packet;
use crate::source::Source;
use crate::source::failure::{During, Waiting, classify};
use crate::source::input::Input;
use crate::source::watch::Watch;
use crate::stop::StopFlag;
use crate::stream::{Carrier, StreamInfo};
use vas_request::{SourceRequest, Transport, redact};

/// The first key frame of a 4K camera arrives as one burst; with the kernel's default of 208 KiB, part
/// of it is lost. The kernel grants at most net.core.rmem_max.
const UDP_RECEIVE_BUFFER: i64 = 4 << 20;
/// FFmpeg's limit for reading ahead until the stream is known.
const MAX_ANALYSIS: Duration = Duration::from_secs(5);

/// Pictures from which FFmpeg determines the rate if the parameter sets do not state it: the fewest
/// that work. Its default of 20 delays the first picture by most of a second.
const PICTURES_FOR_RATE: i64 = 3;

/// How long to wait for more pictures before the camera is used with what is known: it may send one a minute.
const SLOW_AFTER: Duration = Duration::from_millis(2500);

/// What FFmpeg logs about a description with decoding order numbers above 0 (rtpdec_hevc.c). It does not expose the
/// description.
const LOGS_NUMBERED: &str = "DON field usage is: 1";

/// An RTSP session that plays.
pub(super) struct Camera {
    input: Input,
    stream: StreamInfo,
    arrivals: Arrivals,
    times: Times,
    /// Set while something of a pause in the reading ahead is still to come.
    resumed: Option<Resumed>,
    url: String,
    read_timeout: Duration,
    /// The previous packet was of sound, which does not extend the wait for pictures.
    after_sound: bool,
}

/// Derives when pictures began to arrive from when the demuxer returned them.
struct Arrivals {
    /// When the camera started to play.
    opened_ns: u64,
    /// The demuxer may still return pictures that were read ahead.
    ahead: bool,
    /// FFmpeg's parser ends a picture only where the next one begins (`AVSTREAM_PARSE_FULL`, set by
    /// rtpdec_h264.c and rtpdec_hevc.c): it returns one when the first packet of the next has arrived.
    until_next: bool,
    next_ns: Option<u64>,
}

impl Arrivals {
    /// For a stream that started at `opened_ns` and was known at `known_ns`.
    fn of(codec: &Codec, opened_ns: u64, known_ns: u64) -> Self {
        let until_next = matches!(codec, Codec::H264 | Codec::H265);
        Self { opened_ns, ahead: true, until_next, next_ns: Some(known_ns) }
    }

    /// When the first packet of a picture arrived that was returned at `given_ns`. A picture that was read ahead may have
    /// arrived at any time since opening; this returns the earliest.
    fn begin_of(&mut self, given_ns: u64, read_ahead: bool) -> u64 {
        self.ahead &= read_ahead;
        if self.ahead {
            return self.opened_ns;
        }
        let began_ns = self.next_ns.replace(given_ns);
        began_ns.filter(|_| self.until_next).unwrap_or(given_ns)
    }
}

/// The times of pictures, with those replaced that are off by hours.
struct Times {
    outliers: Outliers,
    decode: DecodeTimes,
    /// FFmpeg derives decoding times from the latest presentation times, so one that is off affects later ones.
    had_outlier: bool,
}

impl Times {
    fn of(stream: &StreamInfo) -> Self {
        let delay = stream.parameters.reorder_delay();
        let outliers = Outliers::new(stream.time_base.den(), delay > 0);
        Self { outliers, decode: DecodeTimes::new(delay), had_outlier: false }
    }

    fn mend(&mut self, packet: &mut Packet) {
        let RawTimes { pts: Some(pts), dts } = packet.raw_times() else { return };
        let (pts, dts) = self.next(pts, dts, packet.arrival_ns());
        packet.set_times(pts, dts);
    }

    fn next(&mut self, pts: i64, dts: Option<i64>, arrival_ns: u64) -> (i64, Option<i64>) {
        let stamp = self.outliers.next(pts, arrival_ns);
        let ours = self.decode.next(stamp.ticks);
        self.had_outlier |= stamp.guessed;
        (stamp.ticks, if self.had_outlier { ours } else { dts })
    }
}

impl Camera {
    pub(super) fn open(
        request: &SourceRequest,
        url: &str,
        limit: &Limit,
        why: Option<String>,
        stop: &StopFlag,
    ) -> Result<Self, SourceErrorKind> {
        let watch = Watch::new(stop.clone());
        watch.arm(limit.left());
        let connect = |carrier, watch| Self::connect(request, url, carrier, watch);
        let mut opened = match request.transport {
            Transport::Tcp => connect(Carrier::Tcp, watch).map_err(|(kind, _)| kind),
            Transport::Udp => connect(Carrier::Udp, watch).map_err(|(kind, _)| kind),
            Transport::Auto => match connect(Carrier::Tcp, watch) {
                Err((SourceErrorKind::NoTransport { .. }, Some(watch))) => {
                    tracing::debug!("the camera refuses TCP (RTSP 461); trying UDP");
                    connect(Carrier::Udp, watch).map_err(|(kind, _)| kind)
                }
                other => other.map_err(|(kind, _)| kind),
            },
        }?;
        opened.stream.client_why = why;
        Ok(opened)
    }

    /// Tries one transport. The deadline in `watch` keeps running. If nothing was opened, the watch is
    /// returned for another attempt.
    fn connect(
        request: &SourceRequest,
        url: &str,
        carrier: Carrier,
        watch: Watch,
    ) -> Result<Self, (SourceErrorKind, Option<Watch>)> {
        let limit = &request.connect_timeout;
        let during = |what| During::OpeningCamera {
            asked: request.transport,
            waiting: Waiting { what, limit },
        };
        let Ok(url) = CString::new(url) else {
            let reason = "it holds a NUL byte".to_owned();
            return Err((SourceErrorKind::BadUrl { reason }, Some(watch)));
        };
        let (opened, is_numbered) = log::logs(LOGS_NUMBERED, || {
            Input::open(&url, Some(c"rtsp"), options(request, carrier), watch)
        });
        if is_numbered {
            let kind = SourceErrorKind::Unplayable { what: DECODING_ORDER_NUMBERS };
            return Err((kind, None));
        }
        let mut input = opened.map_err(|(error, watch)| {
            (classify(error, watch.fired(), during("the camera's answer")), Some(watch))
        })?;
        let fail = |input: &Input, error: AvError, what| {
            (classify(error, input.watch().fired(), during(what)), None)
        };
        let opened_ns = monotonic_ns();
        // If the description is enough, don't wait for a slow camera's first picture; otherwise, stopping early would
        // make the first pictures wrong. Reading ahead can't be resumed after a pause: avformat_find_stream_info frees
        // `FFStream.info`, which it needs, so a second call crashes on the first packet.
        input.watch().pause_after(input.knows_video().then_some(SLOW_AFTER));
        // avformat_find_stream_info returns success even if a deadline interrupts it.
        let probed = input.probe().and_then(|()| match input.watch().fired() {
            Some(_) => Err(AvError::new(ffi::AVERROR_EXIT)),
            None => Ok(()),
        });
        input.watch().pause_after(None);
        if let Err(error) = probed {
            return Err(fail(&input, error, "the stream's first pictures"));
        }
        let selected = input.select_video(carrier).and_then(|mut stream| {
            if request.sound {
                stream.sound = input.select_sound()?;
            }
            Ok(stream)
        });
        let paused = input.watch().has_paused();
        match selected {
            Ok(stream) => Ok(Self {
                input,
                arrivals: Arrivals::of(&stream.codec, opened_ns, monotonic_ns()),
                times: Times::of(&stream),
                resumed: stream.codec.nal_codec().filter(|_| paused).map(Resumed::new),
                stream,
                url: redact(&request.url),
                read_timeout: request.read_timeout,
                after_sound: false,
            }),
            Err(error) => Err(fail(&input, error, "the stream's first pictures")),
        }
    }
}

impl Camera {
    /// Reads the next packet; also returns whether it had been read ahead.
    fn read(&mut self) -> Result<(Packet, bool), SourceError> {
        if !self.after_sound {
            self.input.watch().arm(self.read_timeout);
        }
        let asked = self.input.watch().asked();
        match self.input.read() {
            Ok(mut packet) => {
                let read_ahead = self.input.watch().asked() == asked;
                self.after_sound = packet.is_sound();
                if self.is_sizeless(&packet) {
                    let kind = SourceErrorKind::Unplayable { what: jpeg::NOT_READ };
                    return Err(SourceError { url: self.url.clone(), kind });
                }
                let now_ns = monotonic_ns();
                let began_ns = if packet.is_sound() {
                    now_ns
                } else {
                    self.arrivals.begin_of(now_ns, read_ahead)
                };
                packet.set_arrival(began_ns);
                if !packet.is_sound() {
                    self.times.mend(&mut packet);
                }
                Ok((packet, read_ahead))
            }
            Err(error) => {
                let waiting = Waiting { what: "a packet", limit: &self.read_timeout };
                let during = During::ReadingCamera { waiting };
                let kind = classify(error, self.input.watch().fired(), during);
                Err(SourceError { url: self.url.clone(), kind })
            }
        }
    }

    /// FFmpeg gives a JPEG picture out even where nothing told it the size.
    fn is_sizeless(&self, packet: &Packet) -> bool {
        self.stream.size.is_none()
            && self.stream.codec.name() == "mjpeg"
            && !packet.is_sound()
            && !jpeg::has_size(packet.data())
    }
}

impl Source for Camera {
    fn stream(&self) -> &StreamInfo {
        &self.stream
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, SourceError> {
        loop {
            if let Some(packet) = self.resumed.as_mut().and_then(Resumed::pop) {
                return Ok(Some(packet));
            }
            self.resumed.take_if(|resumed| resumed.is_over());
            let (packet, read_ahead) = self.read().inspect_err(|_| {
                self.resumed.iter_mut().for_each(Resumed::end);
            })?;
            match &mut self.resumed {
                Some(resumed) if !packet.is_sound() => resumed.push(packet, read_ahead),
                _ => return Ok(Some(packet)),
            }
        }
    }

    fn left_out(&mut self) -> Vec<usize> {
        self.resumed.as_mut().map_or(Vec::new(), Resumed::left_out)
    }
}

/// The RTSP demuxer's options, with their names in FFmpeg 5.
fn options(request: &SourceRequest, carrier: Carrier) -> Options {
    let mut options = Options::new();
    let media = if request.sound { c"video+audio" } else { c"video" };
    options.set(c"allowed_media_types", media);
    match carrier {
        Carrier::Udp => {
            options.set(c"rtsp_transport", c"udp");
            options.set_int(c"buffer_size", UDP_RECEIVE_BUFFER);
        }
        _ => options.set(c"rtsp_transport", c"tcp"),
    }
    // A fallback for the watch, whose limits are exact: FFmpeg has one socket timeout for connecting
    // and reading, called `stimeout` before FFmpeg 5.
    let socket_limit = request.connect_timeout.max(request.read_timeout);
    options.set_int(c"timeout", micros(socket_limit));
    options.set_int(c"fpsprobesize", PICTURES_FOR_RATE);
    options.set_int(c"analyzeduration", micros(MAX_ANALYSIS.min(request.connect_timeout / 2)));
    options
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_picture_began_when_the_one_before_was_given_out() {
        let arrivals = |codec| {
            let mut arrivals = Arrivals::of(&codec, 1, 5);
            [10, 50, 90].map(|given_ns| arrivals.begin_of(given_ns, false))
        };
        assert_eq!(arrivals(Codec::H264), [5, 10, 50]);
        assert_eq!(arrivals(Codec::H265), [5, 10, 50]);
        assert_eq!(arrivals(Codec::Other("mjpeg".into())), [10, 50, 90]);
    }

    #[test]
    fn what_was_read_ahead_is_as_old_as_it_can_be() {
        let mut arrivals = Arrivals::of(&Codec::H264, 1, 5);
        assert_eq!([10, 11].map(|given_ns| arrivals.begin_of(given_ns, true)), [1, 1]);
        assert_eq!([50, 90].map(|given_ns| arrivals.begin_of(given_ns, false)), [5, 50]);
        assert_eq!(arrivals.begin_of(91, true), 90, "two pictures that came at once");
    }

    #[test]
    fn decode_times_are_ours_once_a_picture_was_hours_off() {
        let (outliers, decode) = (Outliers::new(90_000, true), DecodeTimes::new(1));
        let mut times = Times { outliers, decode, had_outlier: false };
        let frame = 3600;
        let far = 9800 * 90_000;
        let shown = [0, 3, 1, 2, 6, 4, 5];
        // FFmpeg's decoding times after a picture far ahead: the previous time is used again and is too late.
        let stated = [None, Some(0), Some(1), Some(3), Some(6), Some(6), Some(6)];
        let found = [0, 1, 2, 3, 4, 5, 6].map(|n: usize| {
            let off = if n == 3 { far } else { 0 };
            let dts = stated[n].map(|dts| dts * frame);
            times.next(shown[n] * frame + off, dts, n as u64 * 40_000_000)
        });
        assert!(
            found[..3].iter().zip(stated).all(|(given, dts)| given.1 == dts.map(|n| n * frame))
        );
        let stated: Vec<_> = found[1..].iter().filter_map(|(_, dts)| *dts).collect();
        assert!(stated.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
        assert!(found.iter().all(|(pts, dts)| dts.is_none_or(|dts| dts <= *pts)), "{found:?}");
    }
}
