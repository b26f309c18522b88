//! Errors: variants that callers match on, with messages that operators can act on.

use std::time::Duration;

use ffmpeg_sys_next as ffi;
use thiserror::Error;

use crate::av::AvError;
use crate::cuda::GpuError;
use vas_request::Transport;

/// Failure to open or read a source.
#[derive(Debug, Error)]
#[error("{url}: {kind}")]
pub struct SourceError {
    /// The source, without its credentials.
    pub url: String,
    /// What failed.
    pub kind: SourceErrorKind,
}

/// Most characters that are kept of a message from outside this program.
const MAX_MESSAGE: usize = 300;

/// The underlying cause of a failure.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// FFmpeg's error code.
    #[error(transparent)]
    FFmpeg(#[from] AvError),
    /// A message of the RTSP client or of the system.
    #[error("{0}")]
    Message(Box<str>),
}

impl Cause {
    /// Keeps the first line of a message; the others are dumps for developers. The line may quote the camera, so it is
    /// truncated, and control characters are replaced.
    pub(crate) fn message(message: &impl std::fmt::Display) -> Self {
        let message = message.to_string();
        let line = message.lines().next().unwrap_or_default().trim_end();
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let mut kept: String = line.chars().take(MAX_MESSAGE).map(visible).collect();
        if kept.len() < line.len() {
            kept.push_str(" ...");
        }
        Self::Message(kept.into())
    }
}

/// The kinds of [`SourceError`].
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// The URL is invalid; nothing was tried.
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
        /// The resolver's message.
        reason: String,
    },
    /// There is no connection to the camera.
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
        "the camera refused the request ({0}); it may be busy or have reached its limit of clients"
    )]
    Rejected(Cause),
    /// The camera redirects its clients, and the redirect can't be followed.
    #[error(
        "the camera redirects its clients (RTSP {status}), and {why}; set the URL that it redirects to"
    )]
    Moved {
        /// The RTSP status, 300 to 399.
        status: u16,
        /// Why the redirect was not followed.
        why: &'static str,
    },
    /// Neither RTSP client can parse the stream correctly.
    #[error("its stream can't be played correctly: {what}")]
    Unplayable {
        /// The problem, and what to set in the camera.
        what: &'static str,
    },
    /// The camera serves RTP over none of the requested transports.
    #[error("the camera does not support {asked:?} transport (RTSP 461); set another one")]
    NoTransport {
        /// The transport of the request.
        asked: Transport,
    },
    /// The requested RTSP client does not support what this camera needs.
    #[error(
        "the RTSP client retina lacks {what}; `rtsp_client = \"ffmpeg\"` may support it, and `\"auto\"` tries that"
    )]
    ClientLacks {
        /// The missing feature.
        what: String,
    },
    /// Nothing arrived in time.
    #[error("timed out after {} s waiting for {what}", limit.as_secs_f64())]
    TimedOut {
        /// What was expected.
        what: &'static str,
        /// The limit from the request.
        limit: Duration,
    },
    /// The camera still responds, but no complete picture arrived in time.
    #[error(
        "no complete picture arrived for {} s, although the camera still responds{}",
        limit.as_secs_f64(),
        last.as_ref().map(|last| format!("; the last error: {last}")).unwrap_or_default()
    )]
    Stalled {
        /// The limit from the request.
        limit: Duration,
        /// The last error in the data, if any data arrived.
        last: Option<Cause>,
    },
    /// FFmpeg's library that generates test pictures is missing.
    #[error("a test picture needs FFmpeg's libavdevice, which can't be loaded: {reason}")]
    NoTestPicture {
        /// The dynamic loader's message.
        reason: String,
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
    /// The data violates the protocol or the container format.
    #[error("it sends invalid data: {0}")]
    Garbage(Cause),
    /// The camera ended its stream.
    #[error("the camera ended the stream")]
    Ended,
    /// Reading from the connection or the file failed.
    #[error("reading failed: {0}")]
    Broken(Cause),
    /// The stop flag was set.
    #[error("stopped on request")]
    Stopped,
}

/// Failure of a packet or of a decoder.
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
    /// This packet did not decode; later ones may.
    #[error("a packet did not decode: {0}")]
    Corrupt(AvError),
    /// Frames must be received before the decoder accepts another packet.
    #[error("the decoder is full: receive until it needs a packet, then send this one again")]
    Full,
    /// Every surface of a hardware decoder is held; this packet's picture is lost.
    #[error("a picture is lost: all surfaces of the decoder are held; release frames earlier")]
    NoSurface,
    /// The GPU can't decode this stream, or no longer can.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The decoder can't be used any more.
    #[error("the decoder failed: {0}; open a new one")]
    Fatal(AvError),
}

impl DecodeError {
    /// Whether the decoder can't be used any more. Otherwise it continues with the next packet.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Corrupt(_) | Self::Full | Self::NoSurface)
    }

    pub(crate) fn from_av(code: AvError) -> Self {
        match code.errno() {
            Some(libc::EAGAIN) => Self::Full,
            Some(libc::ENOMEM | libc::EINVAL) => Self::Fatal(code),
            // FFmpeg does not implement the feature, so the next packet will fail as well.
            None if code.code() == ffi::AVERROR_PATCHWELCOME => Self::Fatal(code),
            _ => Self::Corrupt(code),
        }
    }
}

/// Failure to convert a frame to NV12.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The frame has no picture.
    #[error("the frame is empty; receive one from a decoder first")]
    Empty,
    /// The pixels are not in memory, or FFmpeg's scaler does not convert the format completely.
    #[error("no conversion from {format} to NV12; expected YUV, gray, RGB or a palette, in memory")]
    Unsupported {
        /// FFmpeg's name for the pixel format.
        format: &'static str,
    },
    /// The rows of a plane are not in the frame's memory in top-down order.
    #[error(
        "plane {plane} of the {format} picture is not in memory as expected: complete rows, the top one first"
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
        /// Bytes passed.
        got: usize,
        /// Bytes needed.
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

/// Failure to encode a frame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// FFmpeg was built without the encoder.
    #[error("this FFmpeg has no encoder {name}; install one that has (Debian's does)")]
    NoEncoder {
        /// FFmpeg's name for the encoder.
        name: &'static str,
    },
    /// The encoder refused the request.
    #[error("{name} did not open for {}x{}: {cause}", size.0, size.1)]
    Open {
        /// FFmpeg's name for the encoder.
        name: &'static str,
        /// Width and height in pixels.
        size: (u32, u32),
        /// FFmpeg's reason.
        cause: AvError,
    },
    /// The frame could not be downloaded from its GPU.
    #[error("can't download a frame from its GPU: {0}")]
    Download(GpuError),
    /// The frame could not be converted to the encoder's size and format.
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
    /// Whether the encoder can't be used any more. Otherwise it continues with the next frame.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Download(_) | Self::Scale { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_line_of_limited_length() {
        let message = |message: &str| Cause::message(&message).to_string();
        assert_eq!(message("a\u{1b}[2J\u{fc} \n\nconn: b"), "a [2J\u{fc}");
        let long = format!("Unparseable Session header {}", "\u{fc}".repeat(1 << 20));
        assert_eq!(message(&long).chars().count(), MAX_MESSAGE + 4);
        assert!(message(&long).ends_with("\u{fc} ..."));
        assert_eq!(message(&"x".repeat(MAX_MESSAGE)), "x".repeat(MAX_MESSAGE));
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
    fn limits_are_in_seconds() {
        let kind =
            SourceErrorKind::TimedOut { what: "a packet", limit: Duration::from_millis(2500) };
        assert_eq!(kind.to_string(), "timed out after 2.5 s waiting for a packet");
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
