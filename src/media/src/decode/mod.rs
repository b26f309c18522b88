//! Decoders: packets in, frames out.

mod describe;
mod ffmpeg;
mod nvdec;
mod open;
mod price;
mod records;

use std::fmt;

use crate::cuda::GpuError;
pub use crate::error::DecodeError;
use crate::frame::Frame;
use crate::packet::Packet;
pub(crate) use describe::describe;
pub use nvdec::nvdec_takes;
pub use open::{open_nvdec, open_software};
pub use price::SurfacePrice;

/// Turns packets into frames, in the order in which they are to be shown.
///
/// Send a packet, then receive until [`Received::NeedPacket`]; at the end
/// [`finish`](Self::finish), then receive until [`Received::End`].
pub trait Decoder: Send {
    /// Gives the decoder one packet. It may decode it here and now.
    ///
    /// # Errors
    /// [`DecodeError::Full`] when frames have to be received first; [`DecodeError::Corrupt`] or
    /// [`DecodeError::NoSurface`] when this packet did not decode, after which the next may be
    /// sent; others are fatal ([`DecodeError::is_fatal`]).
    fn send(&mut self, packet: &Packet) -> Result<(), DecodeError>;

    /// Says that no more packets come, so that the frames held back for reordering come out.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    fn finish(&mut self) -> Result<(), DecodeError>;

    /// Fills `into` with the next frame, if there is one. What `into` held is let go.
    ///
    /// # Errors
    /// [`DecodeError::Corrupt`] when a picture did not decode, after which receiving may go on;
    /// others are fatal. `into` is then empty.
    fn receive(&mut self, into: &mut Frame) -> Result<Received, DecodeError>;

    /// Leaves out pictures from here on; to be called before the first packet. What is left out costs nothing
    /// but a look at its first bytes.
    fn decode_only(&mut self, frames: DecodeFrames);

    /// Whether this packet is left out; if so, it must not be sent, and counts as seen.
    fn leaves_out(&mut self, packet: &Packet) -> bool;

    /// What decodes. A decoder on a GPU may have gone over to the processor, for good; see
    /// [`fallback`](Self::fallback).
    fn kind(&self) -> DecoderKind;

    /// Why the processor decodes what a GPU was to decode.
    fn fallback(&self) -> Option<GpuError> {
        None
    }

    /// What a decoder on a GPU takes of its memory, known once the first packet was sent.
    fn price(&self) -> Option<SurfacePrice> {
        None
    }
}

/// Which pictures a decoder decodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecodeFrames {
    /// All.
    #[default]
    All,
    /// Those that others refer to.
    Reference,
    /// Those that decoding can begin with, each by itself: it comes out at once.
    Key,
}

/// What [`Decoder::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A frame.
    Frame,
    /// None before the next packet.
    NeedPacket,
    /// None any more: all came out after [`Decoder::finish`].
    End,
}

/// What decodes. The numbers go into shared memory and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum DecoderKind {
    /// The processor.
    Software = 1,
    /// A GPU through VA-API.
    Vaapi = 2,
    /// An NVIDIA GPU through NVDEC.
    Nvdec = 3,
}

impl fmt::Display for DecoderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Software => "software",
            Self::Vaapi => "VA-API",
            Self::Nvdec => "NVDEC",
        })
    }
}
