//! Decoders: the trait, and opening one on the processor or on a GPU.

mod describe;
mod ffmpeg;
mod nvdec;
mod pictures;
mod records;
mod vaapi;

use std::fmt;
use std::sync::Arc;

use self::ffmpeg::{FfmpegDecoder, OnGpu};
use self::nvdec::Nvdec;
use self::vaapi::Vaapi;
use crate::cuda::{CudaDevice, GpuError};
pub use crate::error::DecodeError;
use crate::frame::Frame;
use crate::packet::Packet;
use crate::stream::StreamInfo;
use crate::vaapi::VaapiDevice;
pub(crate) use describe::describe;
pub use nvdec::nvdec_takes;
pub use vaapi::vaapi_takes;
use vas_request::DecodeFrames;
use vas_surfaces::SurfaceMemory;

/// Decodes packets to frames, in output order.
///
/// Send a packet, then receive until [`Received::NeedPacket`]; at the end
/// [`finish`](Self::finish), then receive until [`Received::End`].
pub trait Decoder: Send {
    /// Sends one packet, which the decoder may decode before it returns.
    ///
    /// # Errors
    /// [`DecodeError::Full`] if frames must be received first; [`DecodeError::Corrupt`] or
    /// [`DecodeError::NoSurface`] if this packet did not decode, after which the next can be
    /// sent; others are fatal ([`DecodeError::is_fatal`]).
    fn send(&mut self, packet: &Packet) -> Result<(), DecodeError>;

    /// Declares the end of packets, so that the frames held back for reordering are output.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    fn finish(&mut self) -> Result<(), DecodeError>;

    /// Fills `into` with the next frame, if there is one, and releases what `into` held.
    ///
    /// # Errors
    /// [`DecodeError::Corrupt`] if a picture did not decode, after which receiving can continue;
    /// others are fatal. `into` is then empty.
    fn receive(&mut self, into: &mut Frame) -> Result<Received, DecodeError>;

    /// Limits decoding to these pictures. Call it before the first packet. Skipping a packet only reads its first
    /// bytes.
    fn decode_only(&mut self, frames: DecodeFrames);

    /// Whether to skip this packet. If so, the decoder has accounted for it, and it must not be sent.
    fn leaves_out(&mut self, packet: &Packet) -> bool;

    /// What decodes. A decoder on a GPU may have switched to the processor permanently; see
    /// [`fallback`](Self::fallback).
    fn kind(&self) -> DecoderKind;

    /// Why a decoder that was opened on a GPU has switched to the processor.
    fn fallback(&self) -> Option<GpuError> {
        None
    }

    /// The memory that the surfaces of a decoder on a GPU need; known once the first packet was sent.
    fn surface_memory(&self) -> Option<SurfaceMemory> {
        None
    }
}

/// The result of [`Decoder::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A frame.
    Frame,
    /// No frame until the next packet.
    NeedPacket,
    /// No more frames: all were output after [`Decoder::finish`].
    End,
}

/// What decodes. The numbers are part of the frame format and never change.
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

/// Opens FFmpeg's decoder for a stream on the processor.
///
/// With 1 thread it decodes on the calling thread. More threads share the slices of one picture;
/// pictures are never decoded in parallel, because that would delay each of them.
///
/// # Errors
/// [`DecodeError::NoDecoder`], [`DecodeError::Open`].
pub fn open_software(stream: &StreamInfo, threads: u32) -> Result<Box<dyn Decoder>, DecodeError> {
    Ok(Box::new(FfmpegDecoder::open(stream, threads, None)?))
}

/// Opens a decoder on a GPU. Its frames stay in GPU memory
/// ([`Frame::surface`](crate::Frame::surface)), with 8 bits in 4:2:0.
///
/// `extra_surfaces` is how many frames the caller may hold at a time, in addition to the one that it
/// receives into and to what the codec itself needs. NVDEC refuses more than 32 surfaces in all.
///
/// If FFmpeg finds that the GPU can't decode the stream, in the first packet or later, the decoder
/// switches to the processor permanently, without losing a picture: [`Decoder::kind`] and
/// [`Decoder::fallback`] report it, and frames are then in host memory.
///
/// # Errors
/// [`DecodeError::Gpu`] if the GPU certainly can't decode this stream: a codec without NVDEC code, more
/// than 10 bits, another chroma format than 4:2:0, what the driver says that it does not decode
/// ([`CudaDevice::nvdec`]), or a lost device.
/// [`DecodeError::NoDecoder`], [`DecodeError::Open`].
pub fn open_nvdec(
    stream: &StreamInfo,
    device: &Arc<CudaDevice>,
    extra_surfaces: u32,
) -> Result<Box<dyn Decoder>, DecodeError> {
    device.health()?;
    nvdec_takes(stream)?;
    device.decodes(nvdec::wanted(stream))?;
    let nvdec = Nvdec::new(device, extra_surfaces);
    Ok(Box::new(FfmpegDecoder::open(stream, 1, Some(OnGpu::Nvdec(Arc::new(nvdec))))?))
}

/// Opens a decoder on a render node, through VA-API. Its frames stay in surfaces of the driver's
/// ([`Frame::map_from`](crate::Frame::map_from) reads them), with 8 or 10 bits.
///
/// `extra_surfaces` is as for [`open_nvdec`], and so is what happens when the driver can't decode the stream. Any call
/// may hang with the driver: run the decoder on a thread that nothing else waits for.
///
/// # Errors
/// [`DecodeError::Gpu`] with a [`VaapiError`](crate::VaapiError) if the node certainly can't decode this stream, or is
/// lost. [`DecodeError::NoDecoder`], [`DecodeError::Open`].
pub fn open_vaapi(
    stream: &StreamInfo,
    device: &Arc<VaapiDevice>,
    extra_surfaces: u32,
) -> Result<Box<dyn Decoder>, DecodeError> {
    device.known_health().map_err(GpuError::from)?;
    vaapi_takes(stream).map_err(GpuError::from)?;
    let vaapi = Vaapi::new(device, extra_surfaces);
    Ok(Box::new(FfmpegDecoder::open(stream, 1, Some(OnGpu::Vaapi(Arc::new(vaapi))))?))
}
