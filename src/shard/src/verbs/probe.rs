//! Finds out what a source sends: connects, decodes for a moment, measures.

use std::time::{Duration, Instant};

use vas_media::{
    ClientLadder, DecodeError, Decoder, DecoderKind, Frame, Packet, Received, RtspClient,
    SourceError, SourceErrorKind, SourceRequest, StopFlag, StreamInfo, monotonic_ns, open_software,
};

/// The result of probing a source.
#[derive(Debug)]
pub(super) struct Probe {
    /// The source's own description.
    pub(super) stream: StreamInfo,
    /// What decoded it.
    pub(super) decoder: DecoderKind,
    /// The newest picture.
    pub(super) newest: Frame,
    /// Nanoseconds from the arrival of that picture's first packet until it was decoded.
    pub(super) age_ns: u64,
    /// The rate of packets; with every codec here a packet is a picture.
    pub(super) rate: MeasuredRate,
    /// Packets that could not be decoded.
    pub(super) corrupt: u64,
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The source did not open, or broke off.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No decoder opened, or it failed.
    #[error("connected, but {0}")]
    Decode(#[from] DecodeError),
    /// Packets came, pictures did not.
    #[error(
        "connected, but no picture came of {packets} packets in {:.1} s ({corrupt} of them did \
         not decode); {}",
        waited.as_secs_f64(),
        no_picture_advice(*packets, *keys, *corrupt)
    )]
    NoPicture {
        /// Packets received.
        packets: u64,
        /// How many of them could not be decoded.
        corrupt: u64,
        /// How many of them are key frames.
        keys: u64,
        /// Time since the source was open.
        waited: Duration,
    },
}

fn no_picture_advice(packets: u64, keys: u64, corrupt: u64) -> &'static str {
    // Without a key frame a decoder may also reject everything.
    if keys > 0 && corrupt >= packets {
        "the decoder rejects all that the camera sends: set another codec, profile or size in the camera"
    } else {
        "the camera may send key frames too seldom: set a key frame interval of 1 to 2 s in the camera, or \
         a longer --timeout"
    }
}

impl ProbeError {
    /// Whether nothing was tried because the URL is invalid.
    pub(crate) fn is_bad_url(&self) -> bool {
        matches!(self, Self::Source(SourceError { kind: SourceErrorKind::BadUrl { .. }, .. }))
    }
}

/// A source that was just opened delivers at once the packets by which its format was recognized.
/// They say nothing about its rate.
const SETTLE: Duration = Duration::from_millis(300);

/// Opens a source and decodes it until its rate has been measured for `measure`, or it ends.
///
/// # Errors
/// [`ProbeError`]; without a picture it gives up after the request's `read_timeout`.
pub(super) fn probe(request: &SourceRequest, measure: Duration) -> Result<Probe, ProbeError> {
    let mut clients = ClientLadder::new();
    let first = probe_once(request, &mut clients, measure);
    // retina may find out only from the pictures what it can't do.
    match &first {
        Err(ProbeError::Source(error @ SourceError { kind, .. }))
            if request.client == RtspClient::Auto
                && clients.ended(
                    Some(RtspClient::Retina),
                    kind,
                    Duration::ZERO,
                    Instant::now(),
                ) =>
        {
            tracing::info!("{error}; FFmpeg's RTSP client takes over");
            probe_once(request, &mut clients, measure)
        }
        _ => first,
    }
}

fn probe_once(
    request: &SourceRequest,
    clients: &mut ClientLadder,
    measure: Duration,
) -> Result<Probe, ProbeError> {
    let mut source = vas_media::open_again(request, clients, &StopFlag::new())?;
    let stream = source.stream().clone();
    let mut decoding = Decoding::new(open_software(&stream, 1)?);
    let opened = Instant::now();
    let mut rate = MeasuredRate::from(monotonic_ns() + SETTLE.as_nanos() as u64);
    while let Some(packet) = source.next_packet()? {
        rate.count(packet.arrival_ns());
        decoding.send(&packet)?;
        match decoding.frames {
            0 if opened.elapsed() >= request.read_timeout => {
                return Err(decoding.no_picture(opened));
            }
            1.. if rate.span() >= measure => break,
            _ => {}
        }
    }
    if decoding.frames == 0 {
        decoding.finish()?;
    }
    if decoding.frames == 0 {
        return Err(decoding.no_picture(opened));
    }
    Ok(Probe {
        stream,
        decoder: decoding.decoder.kind(),
        age_ns: decoding.age_ns,
        rate,
        corrupt: decoding.corrupt,
        newest: decoding.newest,
    })
}

/// A decoder and its output so far.
struct Decoding {
    decoder: Box<dyn Decoder>,
    newest: Frame,
    next: Frame,
    age_ns: u64,
    packets: u64,
    keys: u64,
    frames: u64,
    corrupt: u64,
}

impl Decoding {
    fn new(decoder: Box<dyn Decoder>) -> Self {
        Self {
            decoder,
            newest: Frame::new(),
            next: Frame::new(),
            age_ns: 0,
            packets: 0,
            keys: 0,
            frames: 0,
            corrupt: 0,
        }
    }

    fn send(&mut self, packet: &Packet) -> Result<(), DecodeError> {
        self.packets += 1;
        self.keys += u64::from(packet.is_key());
        let sent = self.decoder.send(packet);
        self.bear(sent)?;
        self.receive_all()
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        let finished = self.decoder.finish();
        self.bear(finished)?;
        self.receive_all()
    }

    fn receive_all(&mut self) -> Result<(), DecodeError> {
        loop {
            match self.decoder.receive(&mut self.next) {
                Ok(Received::Frame) => self.take(),
                Ok(Received::NeedPacket | Received::End) => return Ok(()),
                corrupt => {
                    self.bear(corrupt.map(drop))?;
                }
            }
        }
    }

    fn take(&mut self) {
        self.age_ns = monotonic_ns().saturating_sub(self.next.arrival_ns());
        self.frames += 1;
        self.newest.take_from(&mut self.next);
    }

    /// Counts a packet that could not be decoded; the next one may be.
    fn bear(&mut self, outcome: Result<(), DecodeError>) -> Result<(), DecodeError> {
        match outcome {
            Err(error) if error.is_fatal() => Err(error),
            Err(_) => {
                self.corrupt += 1;
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn no_picture(&self, opened: Instant) -> ProbeError {
        ProbeError::NoPicture {
            packets: self.packets,
            corrupt: self.corrupt,
            keys: self.keys,
            waited: opened.elapsed(),
        }
    }
}

/// The rate of arrivals after a certain time.
#[derive(Debug)]
pub(super) struct MeasuredRate {
    from_ns: u64,
    first_ns: u64,
    last_ns: u64,
    arrivals: u64,
}

impl MeasuredRate {
    /// Counts arrivals at `from_ns` or later.
    fn from(from_ns: u64) -> Self {
        Self { from_ns, first_ns: 0, last_ns: 0, arrivals: 0 }
    }

    fn count(&mut self, arrival_ns: u64) {
        if arrival_ns < self.from_ns {
            return;
        }
        if self.arrivals == 0 {
            self.first_ns = arrival_ns;
        }
        self.last_ns = arrival_ns;
        self.arrivals += 1;
    }

    /// Time from the first arrival to the last.
    pub(super) fn span(&self) -> Duration {
        Duration::from_nanos(self.last_ns.saturating_sub(self.first_ns))
    }

    /// Arrivals a second; `None` from fewer than two.
    pub(super) fn per_second(&self) -> Option<f64> {
        let seconds = self.span().as_secs_f64();
        (self.arrivals >= 2 && seconds > 0.0).then(|| (self.arrivals - 1) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vas_media::Transport;

    fn request(url: &str) -> SourceRequest {
        SourceRequest {
            url: url.into(),
            transport: Transport::Auto,
            client: vas_media::RtspClient::Auto,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
            sound: false,
        }
    }

    #[test]
    fn the_advice_mentions_key_frames_only_if_none_came() {
        let words = |packets, keys, corrupt| {
            let waited = Duration::from_secs(1);
            ProbeError::NoPicture { packets, corrupt, keys, waited }.to_string()
        };
        assert!(words(0, 0, 0).contains("key frames too seldom"));
        assert!(words(9, 0, 9).contains("key frames too seldom"));
        assert!(words(9, 1, 8).contains("key frames too seldom"));
        assert!(words(9, 9, 9).contains("the decoder rejects all"));
    }

    #[test]
    fn a_test_picture_is_measured() {
        let probe = probe(&request("testsrc:64x48@50"), Duration::from_millis(200)).unwrap();
        assert_eq!((probe.newest.width(), probe.newest.height()), (64, 48));
        assert_eq!(probe.decoder, DecoderKind::Software);
        assert!(probe.rate.span() >= Duration::from_millis(200), "{probe:?}");
        assert!(probe.rate.per_second().is_some());
        assert_eq!(probe.corrupt, 0);
    }

    #[test]
    fn a_rate_leaves_out_the_packets_of_the_start() {
        const MS: u64 = 1_000_000;
        let mut rate = MeasuredRate::from(100 * MS);
        assert_eq!(rate.per_second(), None);
        for arrival_ms in [0, 0, 1, 2, 100, 140, 180, 220] {
            rate.count(arrival_ms * MS);
        }
        assert_eq!(rate.span(), Duration::from_millis(120));
        assert_eq!(rate.per_second(), Some(25.0));
    }

    #[test]
    fn failures_say_what_was_tried() {
        let measure = Duration::from_millis(1);
        let missing = probe(&request("/nonexistent.mp4"), measure).unwrap_err();
        assert!(missing.to_string().contains("no such file"), "{missing}");
        assert!(!missing.is_bad_url());
        let bad = probe(&request("rtsp://"), measure).unwrap_err();
        assert!(bad.is_bad_url(), "{bad}");
    }
}
