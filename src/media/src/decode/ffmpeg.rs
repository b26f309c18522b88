//! FFmpeg's decoders, driven the same way with and without a GPU.

use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ffmpeg_sys_next as ffi;

use super::nvdec::{Failure, Nvdec};
use super::pictures::Pictures;
use super::records::{PacketInfo, Records};
use super::vaapi::Vaapi;
use super::{DecodeError, DecodeFrames, Decoder, DecoderKind, Received};
use crate::av::{AvError, check, init, to_c_int};
use crate::color::PixelLayout;
use crate::compat::TagCarrier;
use crate::cuda::GpuError;
use crate::fraction::to_av;
use crate::frame::{Frame, Tags};
use crate::packet::Packet;
use crate::stream::StreamInfo;
use crate::surface::{Crop, surface_format};
use crate::unit::{Condition, LossTracker, Units};
use vas_request::Fraction;
use vas_surfaces::SurfaceMemory;

/// What decodes in the processor's place.
pub(super) enum OnGpu {
    Nvdec(Arc<Nvdec>),
    Vaapi(Arc<Vaapi>),
}

impl OnGpu {
    /// See [`Nvdec::attach`].
    ///
    /// # Safety
    /// `context` is valid and not open, and is freed before `self`.
    unsafe fn attach(&self, context: *mut ffi::AVCodecContext) {
        // SAFETY: valid by contract.
        unsafe {
            match self {
                Self::Nvdec(nvdec) => nvdec.attach(context),
                Self::Vaapi(vaapi) => vaapi.attach(context),
            }
        }
    }

    fn call(&self, call: impl FnOnce() -> c_int) -> Result<(), Failure> {
        match self {
            Self::Nvdec(nvdec) => nvdec.call(call),
            Self::Vaapi(vaapi) => vaapi.call(call),
        }
    }

    fn fallback(&self) -> Option<GpuError> {
        match self {
            Self::Nvdec(nvdec) => nvdec.fallback(),
            Self::Vaapi(vaapi) => vaapi.fallback().map(GpuError::from),
        }
    }

    fn surface_memory(&self) -> Option<SurfaceMemory> {
        match self {
            Self::Nvdec(nvdec) => nvdec.surface_memory(),
            Self::Vaapi(vaapi) => vaapi.surface_memory(),
        }
    }

    fn kind(&self) -> DecoderKind {
        match self {
            Self::Nvdec(_) => DecoderKind::Nvdec,
            Self::Vaapi(_) => DecoderKind::Vaapi,
        }
    }

    fn render_node(&self) -> Option<u32> {
        match self {
            Self::Nvdec(_) => None,
            Self::Vaapi(vaapi) => Some(vaapi.node()),
        }
    }
}

/// An FFmpeg decoder, on the processor or on a GPU.
pub(super) struct FfmpegDecoder {
    context: NonNull<ffi::AVCodecContext>,
    time_base: Fraction,
    tags: TagCarrier,
    records: Records,
    units: Units,
    loss: LossTracker,
    frames: DecodeFrames,
    /// With [`DecodeFrames::Key`]: the decoder was drained, which happens after each packet.
    drained: bool,
    /// [`finish`](Decoder::finish) was called.
    ending: bool,
    /// FFmpeg's callbacks reach it through the context's `opaque`.
    gpu: Option<OnGpu>,
    /// Without `gpu`, FFmpeg's callbacks reach it in the same way.
    pictures: Arc<Pictures>,
}

// SAFETY: a codec context may be used from any thread, one at a time; this is its only handle
// and is not `Sync`.
unsafe impl Send for FfmpegDecoder {}

impl FfmpegDecoder {
    /// Opens FFmpeg's decoder for a stream; with `gpu`, it tries that one first.
    ///
    /// # Errors
    /// [`DecodeError::NoDecoder`], [`DecodeError::Open`].
    pub(super) fn open(
        stream: &StreamInfo,
        threads: u32,
        gpu: Option<OnGpu>,
    ) -> Result<Self, DecodeError> {
        init();
        let parameters = &stream.parameters;
        let name = || parameters.codec().name().to_owned();
        // SAFETY: looks an id up in a static table; null if this build has no decoder for it.
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
        // SAFETY: a new context, not open yet.
        let tags = unsafe { TagCarrier::new(context.as_ptr()) };
        let units = Units::of(&parameters.codec(), parameters.extradata());
        let (records, loss) = (Records::new(), LossTracker::new());
        let frames = DecodeFrames::All;
        let (drained, ending) = (false, false);
        let pictures = Arc::default();
        let decoder = Self {
            context,
            time_base,
            tags,
            records,
            units,
            loss,
            frames,
            drained,
            ending,
            gpu,
            pictures,
        };
        let raw = context.as_ptr();
        // SAFETY: `raw` is a new context that `decoder` owns and frees on every return; the parameters
        // are valid; all fields are set before it is opened, as FFmpeg requires. `decoder` holds
        // `gpu` and `pictures` as long as the context.
        let opened = unsafe {
            check(ffi::avcodec_parameters_to_context(raw, parameters.as_ptr())).and_then(|_| {
                (*raw).pkt_timebase = to_av(time_base);
                (*raw).thread_count = to_c_int(threads.max(1) as usize);
                (*raw).thread_type = ffi::FF_THREAD_SLICE;
                // `crop_frame` crops exactly to the sample. FFmpeg's own cropping would leave up to 31
                // extra columns on the left to keep rows aligned.
                (*raw).apply_cropping = 0;
                (*raw).flags |= ffi::AV_CODEC_FLAG_UNALIGNED as c_int;
                if parameters.codec_id() == ffi::AVCodecID::AV_CODEC_ID_HEVC {
                    // FFmpeg 9 would otherwise discard pictures whose references are missing. They are output and
                    // marked here, as with FFmpeg 5.1, whose decoder ignores this flag.
                    (*raw).flags |= ffi::AV_CODEC_FLAG_OUTPUT_CORRUPT as c_int;
                }
                match &decoder.gpu {
                    Some(gpu) => gpu.attach(raw),
                    None => decoder.pictures.attach(raw),
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
            // SAFETY: an open context that was drained; this drops its references.
            unsafe { ffi::avcodec_flush_buffers(raw) };
        }
        let tag = self.records.next_tag();
        let Self { gpu, tags, .. } = self;
        // SAFETY: an open context, the one that `tags` was made with, used by this thread alone; a valid packet with
        // reference-counted data.
        match call(gpu.as_ref(), || unsafe { tags.send(raw, packet.as_ptr(), tag) }) {
            Err(Failure { error: DecodeError::Full, .. }) => Err(DecodeError::Full),
            other => {
                let unit = self.units.look(packet.data(), packet.is_key());
                let info = PacketInfo {
                    arrival_ns: packet.arrival_ns(),
                    wall_clock_ns: packet.wall_clock_ns(),
                    after_loss: self.loss.admit(unit, condition(packet)),
                };
                self.records.keep(info, packet.discontinuity());
                self.record_failure(other)?;
                if self.frames == DecodeFrames::Key {
                    // Otherwise the decoder would hold the picture back for reordering.
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
            // A loss before the packet, or in it, counts although the packet is skipped.
            self.loss.admit(unit, condition(packet));
            self.records.skip(packet.discontinuity());
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
            // `send` has already reported this loss.
            if received == Received::Frame && self.records.is_lost(into.tag()) {
                continue;
            }
            if received == Received::Frame {
                self.complete(into)?;
            }
            return Ok(received);
        }
    }

    fn kind(&self) -> DecoderKind {
        match &self.gpu {
            Some(gpu) if gpu.fallback().is_none() => gpu.kind(),
            _ => DecoderKind::Software,
        }
    }

    fn fallback(&self) -> Option<GpuError> {
        self.gpu.as_ref().and_then(OnGpu::fallback)
    }

    fn surface_memory(&self) -> Option<SurfaceMemory> {
        let gpu = self.gpu.as_ref().filter(|gpu| gpu.fallback().is_none());
        gpu.and_then(OnGpu::surface_memory)
    }
}

impl FfmpegDecoder {
    /// Makes the decoder output the frames that it holds back.
    fn drain(&mut self) -> Result<(), DecodeError> {
        // SAFETY: an open context; a null packet starts draining.
        let drain = || unsafe { ffi::avcodec_send_packet(self.context.as_ptr(), ptr::null()) };
        // AVERROR_EOF means that draining has already started.
        let drained = call(self.gpu.as_ref(), || ignoring(ffi::AVERROR_EOF, drain()));
        self.record_failure(drained)
    }

    /// Records which pictures a failure makes wrong or unusable.
    fn record_failure(&mut self, result: Result<(), Failure>) -> Result<(), DecodeError> {
        result.map_err(|Failure { error, picture_lost }| {
            // Other pictures may refer to the one that failed.
            self.loss.spoil();
            self.records.spoil_newest();
            if picture_lost {
                self.records.lose_newest();
            }
            error
        })
    }

    /// Receives a frame as FFmpeg outputs it.
    fn receive_any(&mut self, into: &mut Frame) -> Result<Received, DecodeError> {
        let mut received = Received::Frame;
        let called = call(self.gpu.as_ref(), || {
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
        self.record_failure(called).map(|()| received)
    }

    /// Crops a new frame to its visible part and attaches what is known from its packet.
    fn complete(&mut self, frame: &mut Frame) -> Result<(), DecodeError> {
        let coded = (frame.width(), frame.height());
        let inherited = self.records.inherit(frame.tag());
        let crop = match crop_frame(frame) {
            Ok(crop) => crop,
            Err(error) => {
                frame.clear();
                return Err(DecodeError::Corrupt(error));
            }
        };
        match (&self.gpu, frame.layout()) {
            (Some(OnGpu::Nvdec(nvdec)), PixelLayout::Cuda) => {
                if frame.surface().is_none() {
                    // A surface that could not be mapped. FFmpeg 5.1 has never been observed to output one.
                    frame.clear();
                    return Err(DecodeError::NoSurface);
                }
                nvdec.succeeded();
            }
            (Some(OnGpu::Vaapi(vaapi)), PixelLayout::Vaapi) => vaapi.succeeded(),
            _ => {}
        }
        frame.set_tags(Tags {
            arrival_ns: inherited.info.arrival_ns,
            discontinuity: inherited.discontinuity,
            after_loss: inherited.info.after_loss,
            wall_clock_ns: inherited.info.wall_clock_ns,
            time_base: Some(self.time_base),
            coded,
            crop,
            render_node: self.gpu.as_ref().and_then(OnGpu::render_node),
            mapped: false,
        });
        Ok(())
    }
}

/// Calls FFmpeg; on a GPU, log lines tell failures apart in addition to the return code.
fn call(gpu: Option<&OnGpu>, call: impl FnOnce() -> c_int) -> Result<(), Failure> {
    match gpu {
        Some(gpu) => gpu.call(call),
        None => check(call()).map(|_| ()).map_err(Failure::from),
    }
}

/// What the source and the packet queue report about a packet and what precedes it.
fn condition(packet: &Packet) -> Condition {
    Condition { gap: packet.discontinuity(), damaged: packet.lost() || packet.corrupt() }
}

/// Moves the plane pointers to the visible picture and sets its size.
fn crop_frame(frame: &mut Frame) -> Result<Crop, AvError> {
    let raw = frame.as_mut_ptr();
    // SAFETY: our own valid frame. FFmpeg checks that the crop leaves a picture.
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

/// Crops a surface on the left and at the top: for surfaces FFmpeg applies only right and bottom and
/// leaves the other two in the frame (FFmpeg 5.1, av_frame_apply_cropping in libavutil/frame.c).
/// FFmpeg frees through `buf`, so the addresses in `data` may change.
///
/// # Safety
/// `raw` points to a valid frame whose crop FFmpeg has checked against its size.
unsafe fn crop_surface(raw: *mut ffi::AVFrame) {
    // SAFETY: valid by contract.
    if PixelLayout::of(unsafe { (*raw).format }) == PixelLayout::Vaapi {
        // `data` holds no addresses: `Frame::map_from` skips what is cropped.
        // SAFETY: valid by contract.
        unsafe {
            (*raw).width -= to_c_int((*raw).crop_left);
            (*raw).height -= to_c_int((*raw).crop_top);
            ((*raw).crop_left, (*raw).crop_top) = (0, 0);
        }
        return;
    }
    // SAFETY: valid by contract.
    let Some(format) = (unsafe { surface_format(raw) }) else { return };
    // SAFETY: valid by contract. Device addresses are computed as numbers: the host never dereferences them.
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

/// FFmpeg's code when it needs another packet.
const NEED_PACKET: c_int = -libc::EAGAIN;

/// Maps one failure code to success.
fn ignoring(failure: c_int, code: c_int) -> c_int {
    if code == failure { 0 } else { code }
}

impl Drop for FfmpegDecoder {
    fn drop(&mut self) {
        let mut pointer = self.context.as_ptr();
        // SAFETY: ours, freed once; frames that still exist keep their buffers alive.
        unsafe { ffi::avcodec_free_context(&mut pointer) };
    }
}
