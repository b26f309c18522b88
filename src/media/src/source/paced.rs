//! Local sources that play in real time: files and test pictures.

use std::ffi::{CStr, CString};
use std::time::Duration;

use ffmpeg_sys_next as ffi;

use super::Source;
use super::failure::{During, classify};
use super::input::Input;
use super::pace::Pacer;
use super::watch::Watch;
use crate::av::Options;
use crate::clock::monotonic_ns;
use crate::error::{SourceError, SourceErrorKind};
use crate::packet::Packet;
use crate::stop::StopFlag;
use crate::stream::{Carrier, StreamInfo};
use vas_request::Fraction;

/// For streams that state no rate: FFmpeg's default.
const DEFAULT_FRAME_NS: u64 = 40_000_000;

/// A local input, paced.
pub(super) struct Paced {
    input: Input,
    stream: StreamInfo,
    name: String,
    pacer: Pacer,
}

impl Paced {
    pub(super) fn open_file(path: &str, stop: &StopFlag) -> Result<Self, SourceErrorKind> {
        // With the prefix, a name such as `http:x` is also a file.
        let url = to_c(&format!("file:{path}"))?;
        let mut options = Options::new();
        // A playlist in the file must not access the network.
        options.set(c"protocol_whitelist", c"file");
        let mut input = open(&url, None, options, stop)?;
        input.probe().map_err(|error| fail(&input, error))?;
        Self::play(input, Carrier::File, path)
    }

    pub(super) fn open_test_picture(
        width: u32,
        height: u32,
        fps: Fraction,
        stop: &StopFlag,
    ) -> Result<Self, SourceErrorKind> {
        crate::devices::load().map_err(|reason| SourceErrorKind::NoTestPicture { reason })?;
        let rate = format!("{}/{}", fps.num(), fps.den());
        let graph = format!("testsrc2=size={width}x{height}:rate={rate},format=pix_fmts=yuv420p");
        let input = open(&to_c(&graph)?, Some(c"lavfi"), Options::new(), stop)?;
        let mut source =
            Self::play(input, Carrier::Generated, &format!("testsrc:{width}x{height}@{fps}"))?;
        // FFmpeg's lavfi device does not state the rate.
        source.stream.fps = Some(fps);
        Ok(source)
    }

    fn play(mut input: Input, carrier: Carrier, name: &str) -> Result<Self, SourceErrorKind> {
        let stream = input.select_video(carrier).map_err(|error| fail(&input, error))?;
        let pacer = Pacer::new(stream.fps.map_or(DEFAULT_FRAME_NS, Fraction::frame_ns));
        Ok(Self { input, stream, name: name.to_owned(), pacer })
    }

    fn error(&self, kind: SourceErrorKind) -> SourceError {
        SourceError { url: self.name.clone(), kind }
    }
}

impl Source for Paced {
    fn stream(&self) -> &StreamInfo {
        &self.stream
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, SourceError> {
        let mut packet = match self.input.read() {
            Ok(packet) => packet,
            Err(error) if error.code() == ffi::AVERROR_EOF => return Ok(None),
            Err(error) => {
                let fired = self.input.watch().fired();
                return Err(self.error(classify(error, fired, During::ReadingFile)));
            }
        };
        let now_ns = monotonic_ns();
        let media_ns = packet.dts_ns().or(packet.pts_ns());
        let due_ns = self.pacer.due_ns(media_ns, now_ns);
        let wait = Duration::from_nanos(due_ns.saturating_sub(now_ns));
        if self.input.watch().stop_flag().wait_for(wait) {
            return Err(self.error(SourceErrorKind::Stopped));
        }
        if self.stream.carrier == Carrier::Generated {
            // FFmpeg 5.1 marks them as key pictures, 7.1 does not.
            packet.set_key(true);
        }
        packet.set_arrival(monotonic_ns());
        Ok(Some(packet))
    }
}

fn open(
    url: &CStr,
    format: Option<&CStr>,
    options: Options,
    stop: &StopFlag,
) -> Result<Input, SourceErrorKind> {
    Input::open(url, format, options, Watch::new(stop.clone()))
        .map_err(|(error, watch)| classify(error, watch.fired(), During::OpeningFile))
}

fn fail(input: &Input, error: crate::av::AvError) -> SourceErrorKind {
    classify(error, input.watch().fired(), During::OpeningFile)
}

fn to_c(url: &str) -> Result<CString, SourceErrorKind> {
    CString::new(url)
        .map_err(|_| SourceErrorKind::BadUrl { reason: "it contains a NUL byte".into() })
}
