//! FFmpeg's own decoders, on the processor.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;

use super::records::Records;
use super::{DecodeError, Decoder, DecoderKind, Received};
use crate::av::{AvError, check, init, to_c_int};
use crate::fraction::Fraction;
use crate::frame::{Crop, Frame, Tags};
use crate::packet::Packet;
use crate::stream::StreamInfo;

/// Opens FFmpeg's decoder for a stream.
///
/// `threads` of 1 decodes on the calling thread. More share the slices of one picture; pictures
/// are never decoded in parallel, because that would hold each of them back.
///
/// # Errors
/// [`DecodeError::NoDecoder`], [`DecodeError::Open`].
pub fn open_software(stream: &StreamInfo, threads: u32) -> Result<Box<dyn Decoder>, DecodeError> {
    init();
    let parameters = &stream.parameters;
    let name = || parameters.codec().name().to_owned();
    // SAFETY: looks an id up in a static table; null when this build has no decoder for it.
    let codec = unsafe { ffi::avcodec_find_decoder(parameters.codec_id()) };
    if codec.is_null() {
        return Err(DecodeError::NoDecoder { codec: name() });
    }
    // SAFETY: `codec` is a valid static descriptor.
    let context = NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) });
    let Some(context) = context else {
        return Err(DecodeError::Open { codec: name(), cause: AvError::new(-libc::ENOMEM) });
    };
    let decoder = SoftwareDecoder { context, time_base: stream.time_base, records: Records::new() };
    let raw = context.as_ptr();
    // SAFETY: `raw` is a fresh context that `decoder` owns and frees on every way out; the
    // parameters are valid; all fields are set before it is opened, as FFmpeg asks.
    let opened = unsafe {
        check(ffi::avcodec_parameters_to_context(raw, parameters.as_ptr())).and_then(|_| {
            (*raw).pkt_timebase = stream.time_base.to_av();
            (*raw).thread_count = to_c_int(threads.max(1) as usize);
            (*raw).thread_type = ffi::FF_THREAD_SLICE;
            // Cropping is ours (`crop_frame`), exact to the sample: FFmpeg's own would show up to
            // 31 columns too many on the left to keep rows aligned.
            (*raw).apply_cropping = 0;
            (*raw).flags |= ffi::AV_CODEC_FLAG_UNALIGNED as c_int;
            check(ffi::avcodec_open2(raw, codec, ptr::null_mut()))
        })
    };
    opened.map_err(|cause| DecodeError::Open { codec: name(), cause })?;
    Ok(Box::new(decoder))
}

struct SoftwareDecoder {
    context: NonNull<ffi::AVCodecContext>,
    time_base: Fraction,
    records: Records,
}

// SAFETY: a codec context may be used from any thread, by one at a time; this is its only handle
// and is not `Sync`.
unsafe impl Send for SoftwareDecoder {}

impl Decoder for SoftwareDecoder {
    fn send(&mut self, packet: &Packet) -> Result<(), DecodeError> {
        let raw = self.context.as_ptr();
        // The decoder copies `reordered_opaque` to the frame that it starts for this packet, and
        // the caller receives everything before it sends the next (FFmpeg 5.1, ff_decode_frame_props
        // in libavcodec/decode.c).
        // SAFETY: an open context and a valid packet, which FFmpeg only reads and references.
        let result = check(unsafe {
            (*raw).reordered_opaque = self.records.next_tag();
            ffi::avcodec_send_packet(raw, packet.as_ptr())
        });
        match result.map_err(DecodeError::from_av) {
            Err(DecodeError::Full) => {
                // An earlier packet still waits inside, to be decoded under its own tag.
                // SAFETY: as above.
                unsafe { (*raw).reordered_opaque = self.records.newest_tag() };
                Err(DecodeError::Full)
            }
            other => {
                self.records.keep(packet.arrival_ns(), packet.discontinuity());
                other.map(|_| ())
            }
        }
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        // SAFETY: an open context; a null packet is FFmpeg's sign to drain.
        let code = unsafe { ffi::avcodec_send_packet(self.context.as_ptr(), ptr::null()) };
        match check(code) {
            Ok(_) => Ok(()),
            // Said before.
            Err(error) if error.code() == ffi::AVERROR_EOF => Ok(()),
            Err(error) => Err(DecodeError::from_av(error)),
        }
    }

    fn receive(&mut self, into: &mut Frame) -> Result<Received, DecodeError> {
        into.clear();
        // SAFETY: an open context and a valid, empty frame.
        let code = unsafe { ffi::avcodec_receive_frame(self.context.as_ptr(), into.as_mut_ptr()) };
        match check(code) {
            Ok(_) => {
                self.dress(into)?;
                Ok(Received::Frame)
            }
            Err(error) if error.errno() == Some(libc::EAGAIN) => Ok(Received::NeedPacket),
            Err(error) if error.code() == ffi::AVERROR_EOF => Ok(Received::End),
            Err(error) => Err(DecodeError::from_av(error)),
        }
    }

    fn kind(&self) -> DecoderKind {
        DecoderKind::Software
    }
}

impl SoftwareDecoder {
    /// Cuts a fresh frame to what is visible and puts on it what its packet said.
    fn dress(&mut self, frame: &mut Frame) -> Result<(), DecodeError> {
        let coded = (frame.width(), frame.height());
        // SAFETY: a valid frame of ours.
        let tag = unsafe { (*frame.as_ptr()).reordered_opaque };
        let inherited = self.records.inherit(tag);
        match crop_frame(frame) {
            Ok(crop) => {
                frame.set_tags(Tags {
                    arrival_ns: inherited.arrival_ns,
                    discontinuity: inherited.discontinuity,
                    time_base: Some(self.time_base),
                    coded,
                    crop,
                });
                Ok(())
            }
            Err(error) => {
                frame.clear();
                Err(DecodeError::Corrupt(error))
            }
        }
    }
}

/// Moves the planes to the visible picture and sets its size.
fn crop_frame(frame: &mut Frame) -> Result<Crop, AvError> {
    let raw = frame.as_mut_ptr();
    // SAFETY: a valid frame of ours. FFmpeg checks that the crop leaves a picture.
    let (crop, code) = unsafe {
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let crop = Crop {
            left: side((*raw).crop_left),
            top: side((*raw).crop_top),
            right: side((*raw).crop_right),
            bottom: side((*raw).crop_bottom),
        };
        (crop, ffi::av_frame_apply_cropping(raw, ffi::AV_FRAME_CROP_UNALIGNED as c_int))
    };
    check(code).map(|_| crop)
}

impl Drop for SoftwareDecoder {
    fn drop(&mut self) {
        let mut pointer = self.context.as_ptr();
        // SAFETY: ours, freed once; frames that are still out keep their buffers alive.
        unsafe { ffi::avcodec_free_context(&mut pointer) };
    }
}
