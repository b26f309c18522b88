//! FFmpeg's decoders, driven the same way whether a GPU stands behind them or not.

use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ffmpeg_sys_next as ffi;

use super::nvdec::{Failure, Nvdec};
use super::price::SurfacePrice;
use super::records::{Records, Said};
use super::{DecodeError, DecodeFrames, Decoder, DecoderKind, Received};
use crate::av::{AvError, check, init, to_c_int};
use crate::color::PixelLayout;
use crate::compat::TagCarrier;
use crate::cuda::GpuError;
use crate::fraction::Fraction;
use crate::frame::{Frame, Tags};
use crate::packet::Packet;
use crate::stream::StreamInfo;
use crate::surface::Crop;
use crate::surface::surface_format;
use crate::unit::{Coming, LossTracker, Units};

/// A decoder of FFmpeg's, on the processor or with NVDEC behind it.
pub(super) struct FfmpegDecoder {
    context: NonNull<ffi::AVCodecContext>,
    time_base: Fraction,
    tags: TagCarrier,
    records: Records,
    units: Units,
    loss: LossTracker,
    frames: DecodeFrames,
    /// With [`DecodeFrames::Key`]: the last packet was sent, and it is drained after each.
    drained: bool,
    /// The caller has said that no more packets come.
    ending: bool,
    /// FFmpeg calls it through the context's `opaque`.
    nvdec: Option<Arc<Nvdec>>,
}

// SAFETY: a codec context may be used from any thread, by one at a time; this is its only handle
// and is not `Sync`.
unsafe impl Send for FfmpegDecoder {}

impl FfmpegDecoder {
    /// Opens FFmpeg's decoder for a stream; with `nvdec`, that GPU is asked first.
    ///
    /// # Errors
    /// [`DecodeError::NoDecoder`], [`DecodeError::Open`].
    pub(super) fn open(
        stream: &StreamInfo,
        threads: u32,
        nvdec: Option<Arc<Nvdec>>,
    ) -> Result<Self, DecodeError> {
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
        let time_base = stream.time_base;
        // SAFETY: a fresh context, not open yet.
        let tags = unsafe { TagCarrier::new(context.as_ptr()) };
        let units = Units::of(&parameters.codec(), parameters.extradata());
        let (records, loss) = (Records::new(), LossTracker::new());
        let frames = DecodeFrames::All;
        let (drained, ending) = (false, false);
        let decoder =
            Self { context, time_base, tags, records, units, loss, frames, drained, ending, nvdec };
        let raw = context.as_ptr();
        // SAFETY: `raw` is a fresh context that `decoder` owns and frees on every way out; the
        // parameters are valid; all fields are set before it is opened, as FFmpeg asks. `decoder`
        // holds the `Nvdec` as long as the context.
        let opened = unsafe {
            check(ffi::avcodec_parameters_to_context(raw, parameters.as_ptr())).and_then(|_| {
                (*raw).pkt_timebase = time_base.to_av();
                (*raw).thread_count = to_c_int(threads.max(1) as usize);
                (*raw).thread_type = ffi::FF_THREAD_SLICE;
                // Cropping is ours (`crop_frame`), exact to the sample: FFmpeg's own would show up
                // to 31 columns too many on the left to keep rows aligned.
                (*raw).apply_cropping = 0;
                (*raw).flags |= ffi::AV_CODEC_FLAG_UNALIGNED as c_int;
                if parameters.codec_id() == ffi::AVCodecID::AV_CODEC_ID_HEVC {
                    // FFmpeg 9 would keep pictures back whose references are missing; what may be wrong is marked
                    // here, as with FFmpeg 5.1, whose decoder does not ask.
                    (*raw).flags |= ffi::AV_CODEC_FLAG_OUTPUT_CORRUPT as c_int;
                }
                if let Some(nvdec) = &decoder.nvdec {
                    nvdec.attach(raw);
                }
                check(ffi::avcodec_open2(raw, codec, ptr::null_mut()))
            })
        };
        opened.map_err(|cause| DecodeError::Open { codec: name(), cause })?;
        Ok(decoder)
    }
}

impl Decoder for FfmpegDecoder {
    fn send(&mut self, packet: &Packet) -> Result<(), DecodeError> {
        let raw = self.context.as_ptr();
        if std::mem::take(&mut self.drained) {
            // SAFETY: an open context that was drained; what it refers to is let go.
            unsafe { ffi::avcodec_flush_buffers(raw) };
        }
        let tag = self.records.next_tag();
        let Self { nvdec, tags, .. } = self;
        // SAFETY: an open context, the one that the tags were made with, used by nobody else; a valid packet, whose
        // data is counted.
        match call(nvdec.as_deref(), || unsafe { tags.send(raw, packet.as_ptr(), tag) }) {
            Err(Failure { error: DecodeError::Full, .. }) => Err(DecodeError::Full),
            other => {
                let unit = self.units.look(packet.data(), packet.is_key());
                let said = Said {
                    arrival_ns: packet.arrival_ns(),
                    wall_clock_ns: packet.wall_clock_ns(),
                    after_loss: self.loss.admit(unit, coming(packet)),
                };
                self.records.keep(said, packet.discontinuity());
                self.note(other)?;
                if self.frames == DecodeFrames::Key {
                    // Otherwise it would wait inside for those that it may be shown after.
                    self.drained = true;
                    return self.drain();
                }
                Ok(())
            }
        }
    }

    fn decode_only(&mut self, frames: DecodeFrames) {
        self.frames = frames;
    }

    fn leaves_out(&mut self, packet: &Packet) -> bool {
        if self.frames == DecodeFrames::All {
            return false;
        }
        let unit = self.units.look(packet.data(), packet.is_key());
        let kept = match self.frames {
            DecodeFrames::All => true,
            DecodeFrames::Reference => unit.is_reference,
            DecodeFrames::Key => unit.stands_alone(),
        };
        if !kept {
            // What was lost of it, or before it, is missing all the same.
            self.loss.admit(unit, coming(packet));
            self.records.leave_out(packet.discontinuity());
        }
        !kept
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        self.ending = true;
        self.drain()
    }

    fn receive(&mut self, into: &mut Frame) -> Result<Received, DecodeError> {
        loop {
            into.clear();
            let received = self.receive_any(into)?;
            // The loss was told when its packet was sent.
            if received == Received::Frame && self.records.is_lost(into.tag()) {
                continue;
            }
            if received == Received::Frame {
                self.dress(into)?;
            }
            return Ok(received);
        }
    }

    fn kind(&self) -> DecoderKind {
        match &self.nvdec {
            Some(nvdec) if nvdec.fallback().is_none() => DecoderKind::Nvdec,
            _ => DecoderKind::Software,
        }
    }

    fn fallback(&self) -> Option<GpuError> {
        self.nvdec.as_ref().and_then(|nvdec| nvdec.fallback())
    }

    fn price(&self) -> Option<SurfacePrice> {
        let nvdec = self.nvdec.as_ref().filter(|nvdec| nvdec.fallback().is_none());
        nvdec.and_then(|nvdec| nvdec.price())
    }
}

impl FfmpegDecoder {
    /// Has everything come out that is held back.
    fn drain(&mut self) -> Result<(), DecodeError> {
        // SAFETY: an open context; a null packet is FFmpeg's sign to drain.
        let drain = || unsafe { ffi::avcodec_send_packet(self.context.as_ptr(), ptr::null()) };
        // The end may have been said before.
        let drained = call(self.nvdec.as_deref(), || ignoring(ffi::AVERROR_EOF, drain()));
        self.note(drained)
    }

    /// Remembers a picture that is not to be shown.
    fn note(&mut self, result: Result<(), Failure>) -> Result<(), DecodeError> {
        result.map_err(|Failure { error, picture_lost }| {
            // Others may refer to the picture that failed.
            self.loss.spoil();
            self.records.spoil_newest();
            if picture_lost {
                self.records.lose_newest();
            }
            error
        })
    }

    /// Receives a frame as FFmpeg gives it.
    fn receive_any(&mut self, into: &mut Frame) -> Result<Received, DecodeError> {
        let mut received = Received::Frame;
        let called = call(self.nvdec.as_deref(), || {
            // SAFETY: an open context and a valid, empty frame.
            let code =
                unsafe { ffi::avcodec_receive_frame(self.context.as_ptr(), into.as_mut_ptr()) };
            received = match code {
                NEED_PACKET => Received::NeedPacket,
                ffi::AVERROR_EOF if self.drained && !self.ending => Received::NeedPacket,
                ffi::AVERROR_EOF => Received::End,
                _ => return code,
            };
            0
        });
        self.note(called).map(|()| received)
    }

    /// Cuts a fresh frame to what is visible and puts on it what its packet said.
    fn dress(&mut self, frame: &mut Frame) -> Result<(), DecodeError> {
        let coded = (frame.width(), frame.height());
        let inherited = self.records.inherit(frame.tag());
        let crop = match crop_frame(frame) {
            Ok(crop) => crop,
            Err(error) => {
                frame.clear();
                return Err(DecodeError::Corrupt(error));
            }
        };
        if let (Some(nvdec), PixelLayout::Cuda) = (&self.nvdec, frame.layout()) {
            if frame.surface().is_none() {
                // FFmpeg 5.1 was not seen to give out what it could not map; it must go no further.
                frame.clear();
                return Err(DecodeError::NoSurface);
            }
            nvdec.succeeded();
        }
        frame.set_tags(Tags {
            arrival_ns: inherited.said.arrival_ns,
            discontinuity: inherited.discontinuity,
            after_loss: inherited.said.after_loss,
            wall_clock_ns: inherited.said.wall_clock_ns,
            time_base: Some(self.time_base),
            coded,
            crop,
        });
        Ok(())
    }
}

/// Calls FFmpeg; NVDEC's failures are told by what it says beside the code.
fn call(nvdec: Option<&Nvdec>, call: impl FnOnce() -> c_int) -> Result<(), Failure> {
    match nvdec {
        Some(nvdec) => nvdec.call(call),
        None => check(call()).map(|_| ()).map_err(Failure::from),
    }
}

/// What a source and a queue say of what came before a packet, and of it.
fn coming(packet: &Packet) -> Coming {
    Coming { gap: packet.discontinuity(), damaged: packet.lost() || packet.corrupt() }
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
    check(code)?;
    // SAFETY: as above.
    unsafe { crop_surface(raw) };
    Ok(crop)
}

/// Cuts left and top off a surface: FFmpeg takes off right and bottom alone there and leaves the
/// other two in the frame (FFmpeg 5.1, av_frame_apply_cropping in libavutil/frame.c). The addresses
/// in `data` are only looked at; what is freed later stands in `buf`.
///
/// # Safety
/// `raw` points to a valid frame, whose crop FFmpeg has checked against its size.
unsafe fn crop_surface(raw: *mut ffi::AVFrame) {
    // SAFETY: valid by contract.
    let Some(format) = (unsafe { surface_format(raw) }) else { return };
    // SAFETY: valid by contract. Device addresses are moved as numbers: the host follows none.
    unsafe {
        let (left, top) = ((*raw).crop_left, (*raw).crop_top);
        for plane in [0, 1] {
            let pitch = usize::try_from((*raw).linesize[plane]).unwrap_or(0);
            let offset = format.offset(plane, pitch, left, top);
            (*raw).data[plane] = (*raw).data[plane].wrapping_add(offset);
        }
        (*raw).width -= to_c_int(left);
        (*raw).height -= to_c_int(top);
        ((*raw).crop_left, (*raw).crop_top) = (0, 0);
    }
}

/// FFmpeg's code for "not now".
const NEED_PACKET: c_int = -libc::EAGAIN;

/// A code, with one failure taken as success.
fn ignoring(failure: c_int, code: c_int) -> c_int {
    if code == failure { 0 } else { code }
}

impl Drop for FfmpegDecoder {
    fn drop(&mut self) {
        let mut pointer = self.context.as_ptr();
        // SAFETY: ours, freed once; frames that are still out keep their buffers alive.
        unsafe { ffi::avcodec_free_context(&mut pointer) };
    }
}
