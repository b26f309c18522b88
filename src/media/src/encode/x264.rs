//! libx264 through FFmpeg.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPictureType::{AV_PICTURE_TYPE_I, AV_PICTURE_TYPE_NONE};
use ffmpeg_sys_next::AVPixelFormat::AV_PIX_FMT_YUV420P;

use super::scale::Scaler;
use super::{Encoder, EncoderRequest};
use crate::av::{AvError, Options, check, to_c_int};
use crate::error::EncodeError;
use crate::fraction::to_av;
use crate::frame::Frame;
use crate::packet::Packet;
use vas_request::Fraction;

const NAME: &CStr = c"libx264";

/// Ticks per second of the encoder's time base, the same as RTP's.
const CLOCK: c_int = 90_000;

/// Size of the rate control's buffer, as a duration at the bit rate. A smaller one limits the size of key frames, and
/// their quality.
const BUFFER_MS: i64 = 700;

pub(super) struct X264 {
    context: NonNull<ffi::AVCodecContext>,
    scaler: Scaler,
    time_base: Fraction,
    last_ticks: Option<i64>,
    /// Ticks from a picture to the next at the requested rate.
    usual_ticks: i64,
}

// SAFETY: a codec context may be used from any thread, one at a time; this is its only handle.
unsafe impl Send for X264 {}

impl X264 {
    pub(super) fn open(request: &EncoderRequest) -> Result<Self, EncodeError> {
        // SAFETY: looks a terminated name up; null if this FFmpeg lacks the encoder.
        let codec = unsafe { ffi::avcodec_find_encoder_by_name(NAME.as_ptr()) };
        if codec.is_null() {
            return Err(EncodeError::NoEncoder { name: "libx264" });
        }
        // SAFETY: a codec of FFmpeg's; null means out of memory.
        let context = NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) });
        let open = |cause| EncodeError::Open { name: "libx264", size: request.size, cause };
        let context = context.ok_or(open(AvError::new(-libc::ENOMEM)))?;
        let time_base = Fraction::new(1, CLOCK as u32).ok_or(open(AvError::new(-libc::EINVAL)))?;
        let usual_ticks = i64::from(CLOCK) * i64::from(request.fps.den());
        let encoder = Self {
            context,
            scaler: Scaler::to(request.size),
            time_base,
            last_ticks: None,
            usual_ticks: (usual_ticks / i64::from(request.fps.num())).max(1),
        };
        encoder.configure(request);
        let mut options = options();
        // SAFETY: our own configured context and the codec that it was made for.
        check(unsafe { ffi::avcodec_open2(context.as_ptr(), codec, options.as_mut_ptr()) })
            .map_err(open)?;
        options.warn_about_leftovers();
        Ok(encoder)
    }

    fn configure(&self, request: &EncoderRequest) {
        let EncoderRequest { size, fps, bit_rate, threads } = *request;
        let bit_rate = i64::from(bit_rate);
        // SAFETY: our own new context; its plain fields are set before it is opened.
        unsafe {
            let context = &mut *self.context.as_ptr();
            (context.width, context.height) =
                (to_c_int(size.0 as usize), to_c_int(size.1 as usize));
            context.pix_fmt = AV_PIX_FMT_YUV420P;
            context.color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
            context.time_base = ffi::AVRational { num: 1, den: CLOCK };
            context.framerate = to_av(fps);
            context.bit_rate = bit_rate;
            context.rc_max_rate = bit_rate;
            context.rc_buffer_size =
                c_int::try_from(bit_rate * BUFFER_MS / 1000).unwrap_or(c_int::MAX);
            context.max_b_frames = 0;
            // Key frames are made only on request.
            context.gop_size = c_int::MAX;
            context.thread_count = to_c_int(threads as usize);
        }
    }
}

/// The options of libx264, with their names in FFmpeg 5.
fn options() -> Options {
    let mut options = Options::new();
    options.set(c"preset", c"superfast");
    // No look-ahead and no delay by frame threads.
    options.set(c"tune", c"zerolatency");
    // This gives Constrained Baseline, since x264 does not implement full Baseline.
    options.set(c"profile", c"baseline");
    options.set_int(c"forced-idr", 1);
    // Scene cuts make no key frames: a burst of them would overload viewers.
    options.set(c"x264-params", c"scenecut=0:repeat-headers=1");
    options
}

impl Encoder for X264 {
    fn encode(&mut self, frame: &mut Frame, as_key: bool) -> Result<Packet, EncodeError> {
        let encoded = self.scaler.fit(frame).and_then(|()| self.encode_fitting(frame, as_key));
        frame.clear();
        encoded
    }

    fn name(&self) -> &'static str {
        "libx264"
    }
}

impl X264 {
    fn encode_fitting(&mut self, frame: &mut Frame, as_key: bool) -> Result<Packet, EncodeError> {
        let arrival_ns = frame.arrival_ns();
        let own_ticks = frame.pts_ns().and_then(|pts_ns| {
            i64::try_from(i128::from(pts_ns) * i128::from(CLOCK) / 1_000_000_000).ok()
        });
        // The encoder requires increasing times, and uses them only for the duration of pictures. A camera's
        // first pictures may have none, and its clock may step back.
        let next_ticks = self.last_ticks.map_or(0, |last| last.saturating_add(self.usual_ticks));
        let ticks = own_ticks
            .filter(|ticks| self.last_ticks.is_none_or(|last| *ticks > last))
            .unwrap_or(next_ticks);
        self.last_ticks = Some(ticks);
        // SAFETY: our own frame, of which only the samples are shared, and those are only read; both fields are
        // plain, and the type is one of the enum's values.
        unsafe {
            let raw = frame.as_mut_ptr();
            (*raw).pts = ticks;
            (*raw).pict_type = if as_key { AV_PICTURE_TYPE_I } else { AV_PICTURE_TYPE_NONE };
        }
        let mut packet = Packet::empty(self.time_base, None);
        // SAFETY: an open context, a frame of its size and format, and a blank packet; libx264 copies the
        // samples before returning.
        unsafe {
            check(ffi::avcodec_send_frame(self.context.as_ptr(), frame.as_ptr()))
                .map_err(EncodeError::Failed)?;
            // Without look-ahead and frame threads, each frame's packet is ready at once.
            check(ffi::avcodec_receive_packet(self.context.as_ptr(), packet.as_mut_ptr()))
                .map_err(EncodeError::Failed)?;
        }
        packet.set_arrival(arrival_ns);
        packet.set_ticks(own_ticks);
        Ok(packet)
    }
}

impl Drop for X264 {
    fn drop(&mut self) {
        let mut pointer = self.context.as_ptr();
        // SAFETY: ours, freed once.
        unsafe { ffi::avcodec_free_context(&mut pointer) };
    }
}
