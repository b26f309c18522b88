//! What is asked of a source of pictures: its URL, transport and RTSP client, and which pictures to decode.
//!
//! Without FFmpeg, so that what only reads a config, such as the supervisor, does not load it.

#![forbid(unsafe_code)]

mod fraction;
mod redact;
mod request;

pub use fraction::Fraction;
pub use redact::redact;
pub use request::{DecodeFrames, Location, RtspClient, SourceRequest, Transport};
