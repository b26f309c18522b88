//! What can go wrong, in kinds that a caller matches on and words that an operator can act on.

use std::time::Duration;

use ffmpeg_sys_next as ffi;
use thiserror::Error;

use crate::av::AvError;
use crate::cuda::GpuError;
use crate::request::Transport;

/// A source could not be opened or read.
#[derive(Debug, Error)]
#[error("{url}: {kind}")]
pub struct SourceError {
    /// The source, without its credentials.
    pub url: String,
    /// What happened.
    pub kind: SourceErrorKind,
}

/// Most characters that are told of what something says.
const MAX_SAID: usize = 300;

/// What lay beneath a failure, in the words of whatever found it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// FFmpeg's code.
    #[error(transparent)]
    FFmpeg(#[from] AvError),
    /// What the RTSP client or the system says.
    #[error("{0}")]
    Said(Box<str>),
}

impl Cause {
    /// The first line of what something says of itself: the rest is dumps for its developers. A camera's own words
    /// may stand in it, which can be of any length and hold anything.
    pub(crate) fn said(words: &impl std::fmt::Display) -> Self {
        let words = words.to_string();
        let line = words.lines().next().unwrap_or_default().trim_end();
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let mut said: String = line.chars().take(MAX_SAID).map(visible).collect();
        if said.len() < line.len() {
            said.push_str(" ...");
        }
        Self::Said(said.into())
    }
}

/// The kinds of [`SourceError`].
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// The URL cannot be used; nothing was tried.
    #[error("this URL cannot be used: {reason}")]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// A file or a device could not be opened.
    #[error("cannot be opened: {0}; check that the service's user may read it")]
    NotReadable(AvError),
    /// The camera's host name has no address.
    #[error("the host name {host:?} does not resolve ({reason}); check the name and the DNS")]
    UnknownHost {
        /// The name in the URL.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// No connection to the camera.
    #[error("cannot be reached: {0}; check address and port, and that the camera is on")]
    Unreachable(Cause),
    /// The camera refused the login.
    #[error(
        "the camera refused the login (RTSP {status}); check user and password in the URL, with \
         / ? # @ and : percent-encoded"
    )]
    Refused {
        /// 401 or 403.
        status: u16,
    },
    /// The camera has no stream under this path.
    #[error("the camera has no stream under this path (RTSP 404); look the path up in its manual")]
    NoSuchPath,
    /// The camera answered a request with another RTSP error.
    #[error(
        "the camera refused the request ({0}); it may be busy, or serve no more clients at once"
    )]
    Rejected(Cause),
    /// The camera sends its clients to another place, which can't be asked.
    #[error(
        "the camera sends its clients elsewhere (RTSP {status}), and {why}; set the URL of that place"
    )]
    Moved {
        /// The answer, 300 to 399.
        status: u16,
        /// Why it was not followed.
        why: &'static str,
    },
    /// Neither RTSP client can take the stream apart rightly.
    #[error("its stream can't be played rightly: {what}")]
    Unplayable {
        /// What it is, and what to set in the camera.
        what: &'static str,
    },
    /// The camera serves RTP over none of the transports that were asked for.
    #[error("the camera does not serve {asked:?} transport (RTSP 461); set another one")]
    NoTransport {
        /// The transport of the request.
        asked: Transport,
    },
    /// The RTSP client that was asked for can't do what this camera takes.
    #[error(
        "the RTSP client retina lacks {what}; `rtsp_client = \"ffmpeg\"` may do it, and `\"auto\"` tries that"
    )]
    ClientLacks {
        /// What it lacks.
        what: String,
    },
    /// Nothing came in time.
    #[error("waited {} s for {what} in vain", limit.as_secs_f64())]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The limit from the request.
        limit: Duration,
    },
    /// The camera still answers, but no whole picture came in time.
    #[error(
        "no whole picture came for {} s, though the camera still answers{}",
        limit.as_secs_f64(),
        last.as_ref().map(|last| format!("; the last trouble: {last}")).unwrap_or_default()
    )]
    Stalled {
        /// The limit from the request.
        limit: Duration,
        /// What was wrong with what came last, if anything came.
        last: Option<Cause>,
    },
    /// The source has no video track.
    #[error("it has no video track")]
    NoVideo,
    /// FFmpeg has no decoder for the video.
    #[error("its video is {codec}, for which this FFmpeg has no decoder; choose H.264 or H.265")]
    UnsupportedCodec {
        /// FFmpeg's name for the codec.
        codec: String,
    },
    /// What came is not what the protocol or the container promises.
    #[error("what it sends makes no sense: {0}")]
    Garbage(Cause),
    /// A camera ended its stream.
    #[error("the camera ended the stream")]
    Ended,
    /// The connection or the file broke.
    #[error("reading failed: {0}")]
    Broken(Cause),
    /// The stop flag was set.
    #[error("stopped on request")]
    Stopped,
}

/// A packet or a decoder failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// FFmpeg has no decoder for this codec.
    #[error("this FFmpeg has no decoder for {codec}; choose H.264 or H.265")]
    NoDecoder {
        /// FFmpeg's name for the codec.
        codec: String,
    },
    /// The decoder refused the stream's parameters.
    #[error("the {codec} decoder did not open: {cause}")]
    Open {
        /// FFmpeg's name for the codec.
        codec: String,
        /// FFmpeg's reason.
        cause: AvError,
    },
    /// This packet did not decode; the next ones may.
    #[error("a packet did not decode: {0}")]
    Corrupt(AvError),
    /// The decoder holds frames that must be received before it takes another packet.
    #[error("the decoder is full: receive until it needs a packet, then send this one again")]
    Full,
    /// Every surface of a hardware decoder is held; this packet's picture is lost.
    #[error("a picture is lost: all surfaces of the decoder are held; let go of frames earlier")]
    NoSurface,
    /// The GPU does not decode this stream, or no longer.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The decoder is of no more use.
    #[error("the decoder failed: {0}; open a new one")]
    Fatal(AvError),
}

impl DecodeError {
    /// Whether the decoder must be given up. Otherwise it goes on with the next packet.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Corrupt(_) | Self::Full | Self::NoSurface)
    }

    pub(crate) fn from_av(code: AvError) -> Self {
        match code.errno() {
            Some(libc::EAGAIN) => Self::Full,
            Some(libc::ENOMEM | libc::EINVAL) => Self::Fatal(code),
            // A feature that FFmpeg never implemented does not come with the next packet.
            None if code.code() == ffi::AVERROR_PATCHWELCOME => Self::Fatal(code),
            _ => Self::Corrupt(code),
        }
    }
}

/// A frame could not be converted to NV12.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// There is no picture in the frame.
    #[error("the frame is empty; receive one from a decoder first")]
    Empty,
    /// The pixel format is not in memory, unknown to FFmpeg's scaler, or one that it does not convert whole.
    #[error("no conversion from {format} to NV12; expected YUV, grey, RGB or a palette, in memory")]
    Unsupported {
        /// FFmpeg's name for the pixel format.
        format: &'static str,
    },
    /// The rows of a plane do not lie in the frame's memory from top to bottom.
    #[error(
        "plane {plane} of the {format} picture is not in memory as expected: whole rows, the top one first"
    )]
    NotInMemory {
        /// FFmpeg's name for the pixel format.
        format: &'static str,
        /// The plane's number.
        plane: usize,
    },
    /// An output slice or the stride is too small.
    #[error("the {what} for {width}x{height} has {got} bytes, expected at least {need}")]
    TooSmall {
        /// `stride`, `Y plane` or `UV plane`.
        what: &'static str,
        /// Visible width in pixels.
        width: u32,
        /// Visible height in pixels.
        height: u32,
        /// What was passed.
        got: usize,
        /// What is needed.
        need: usize,
    },
    /// FFmpeg's scaler failed.
    #[error("FFmpeg's scaler failed on {format}: {cause}")]
    Scaler {
        /// FFmpeg's name for the pixel format.
        format: &'static str,
        /// FFmpeg's reason.
        cause: AvError,
    },
}

/// A frame could not be encoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// FFmpeg was built without the encoder.
    #[error("this FFmpeg has no encoder {name}; install one that has (Debian's does)")]
    NoEncoder {
        /// FFmpeg's name for the encoder.
        name: &'static str,
    },
    /// The encoder refused what was asked of it.
    #[error("{name} did not open for {}x{}: {cause}", size.0, size.1)]
    Open {
        /// FFmpeg's name for the encoder.
        name: &'static str,
        /// Width and height in pixels.
        size: (u32, u32),
        /// FFmpeg's reason.
        cause: AvError,
    },
    /// The frame did not come down from its device.
    #[error("a frame did not come down from its GPU: {0}")]
    Download(GpuError),
    /// The frame could not be brought to the encoder's size and format.
    #[error("FFmpeg's scaler failed on {format}: {cause}")]
    Scale {
        /// FFmpeg's name for the pixel format.
        format: &'static str,
        /// FFmpeg's reason.
        cause: AvError,
    },
    /// The encoder failed.
    #[error("the encoder failed: {0}; open a new one")]
    Failed(AvError),
}

impl EncodeError {
    /// Whether the encoder must be given up. Otherwise it goes on with the next frame.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Download(_) | Self::Scale { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_length_become_one_line() {
        let said = |words: &str| Cause::said(&words).to_string();
        assert_eq!(said("a\u{1b}[2J\u{fc} \n\nconn: b"), "a [2J\u{fc}");
        let long = format!("Unparseable Session header {}", "\u{fc}".repeat(1 << 20));
        assert_eq!(said(&long).chars().count(), MAX_SAID + 4);
        assert!(said(&long).ends_with("\u{fc} ..."));
        assert_eq!(said(&"x".repeat(MAX_SAID)), "x".repeat(MAX_SAID));
    }

    #[test]
    fn source_errors_name_the_source_and_the_remedy() {
        let error = SourceError {
            url: "rtsp://***@cam/x".into(),
            kind: SourceErrorKind::Refused { status: 401 },
        };
        let words = error.to_string();
        assert!(words.starts_with("rtsp://***@cam/x: "), "{words}");
        assert!(words.contains("401") && words.contains("password"), "{words}");
    }

    #[test]
    fn limits_show_in_seconds() {
        let kind =
            SourceErrorKind::TimedOut { what: "a packet", limit: Duration::from_millis(2500) };
        assert_eq!(kind.to_string(), "waited 2.5 s for a packet in vain");
    }

    #[test]
    fn one_bad_packet_is_not_fatal() {
        assert!(!DecodeError::from_av(AvError::new(ffi::AVERROR_INVALIDDATA)).is_fatal());
        assert!(!DecodeError::from_av(AvError::new(ffi::AVERROR_EXTERNAL)).is_fatal());
        assert!(!DecodeError::from_av(AvError::new(-libc::EAGAIN)).is_fatal());
        assert!(DecodeError::from_av(AvError::new(-libc::ENOMEM)).is_fatal());
        assert!(DecodeError::from_av(AvError::new(ffi::AVERROR_PATCHWELCOME)).is_fatal());
    }
}
