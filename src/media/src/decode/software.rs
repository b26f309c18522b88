//! Decoding on the processor.

use super::ffmpeg::FfmpegDecoder;
use super::{DecodeError, Decoder};
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
