//! Opens decoders, on the processor or on a GPU.

use std::sync::Arc;

use super::ffmpeg::FfmpegDecoder;
use super::nvdec::{Nvdec, nvdec_takes};
use super::{DecodeError, Decoder};
use crate::cuda::CudaDevice;
use crate::stream::StreamInfo;

/// Opens FFmpeg's decoder for a stream.
///
/// `threads` of 1 decodes on the calling thread. More share the slices of one picture; pictures
/// are never decoded in parallel, because that would hold each of them back.
///
/// # Errors
/// [`DecodeError::NoDecoder`], [`DecodeError::Open`].
pub fn open_software(stream: &StreamInfo, threads: u32) -> Result<Box<dyn Decoder>, DecodeError> {
    Ok(Box::new(FfmpegDecoder::open(stream, threads, None)?))
}

/// Opens a decoder that decodes a stream on a GPU. Its frames stay there
/// ([`Frame::surface`](crate::Frame::surface)), 8 bits in 4:2:0.
///
/// `extra_surfaces` is how many frames the caller may hold at a time beyond the one that it
/// receives into. What the codec itself needs comes on top; more than 32 in all are refused by the
/// GPU.
///
/// When FFmpeg meets what the GPU does not decode, in the first packet or later, the decoder goes
/// over to the processor permanently, without losing a picture: [`Decoder::kind`] and
/// [`Decoder::fallback`] then say so, and frames are in memory.
///
/// # Errors
/// [`DecodeError::Gpu`] when it is known from the start that the GPU does not decode this stream:
/// another codec, more than 8 bits, another chroma format than 4:2:0, or a device that was lost.
/// [`DecodeError::NoDecoder`], [`DecodeError::Open`].
pub fn open_nvdec(
    stream: &StreamInfo,
    device: &Arc<CudaDevice>,
    extra_surfaces: u32,
) -> Result<Box<dyn Decoder>, DecodeError> {
    device.health()?;
    nvdec_takes(stream)?;
    let nvdec = Nvdec::new(device, extra_surfaces);
    Ok(Box::new(FfmpegDecoder::open(stream, 1, Some(Arc::new(nvdec)))?))
}
