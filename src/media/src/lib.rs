//! Camera sources, packets, decoders and decoded frames, on FFmpeg 5.1.
//!
//! Nothing here reconnects, queues or starts a thread: each object is driven by the thread that
//! holds it, and a [`StopFlag`] makes whatever blocks return.
//!
//! Unsafe code follows the house rules at the top of the private module `av`.

mod av;
mod clock;
mod color;
mod decode;
mod error;
mod fraction;
mod frame;
pub mod log;
mod packet;
mod redact;
mod request;
mod source;
mod stop;
mod stream;

pub use av::{AvError, init};
pub use clock::monotonic_ns;
pub use color::{Color, PixelLayout, Range};
pub use decode::{DecodeError, Decoder, DecoderKind, Received, open_software};
pub use error::{SourceError, SourceErrorKind};
pub use fraction::Fraction;
pub use frame::{Crop, Frame};
pub use packet::Packet;
pub use redact::redact;
pub use request::{SourceRequest, Transport};
pub use source::{Source, open};
pub use stop::StopFlag;
pub use stream::{Carrier, Codec, CodecParameters, StreamInfo};
