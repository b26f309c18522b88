//! Reads packets with FFmpeg's demuxers.

use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVMediaType::{AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_VIDEO};

use super::watch::{Watch, interrupted};
use crate::av::{AvError, Options, check};
use crate::fraction::from_av;
use crate::packet::Packet;
use crate::parameters::CodecParameters;
use crate::sound::Sound;
use crate::stream::{Carrier, StreamInfo};
use vas_request::{Fraction, RtspClient};

/// Plausible frame rates. FFmpeg derives rates outside from a clock rather than from pictures.
const PLAUSIBLE_FPS: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// Pause before retrying a demuxer that returned without data and without waiting.
const RETRY: Duration = Duration::from_millis(1);

/// An open demuxer (AVFormatContext).
pub(super) struct Input {
    context: NonNull<ffi::AVFormatContext>,
    /// FFmpeg holds a pointer into it, so it must outlive `context`, which `Drop` closes first.
    watch: Arc<Watch>,
    video: Option<Video>,
    sound: Option<(c_int, Fraction)>,
}

/// The properties of the selected stream that each packet needs.
#[derive(Clone, Copy)]
struct Video {
    index: c_int,
    time_base: Fraction,
    referred_bytes: Option<usize>,
}

// SAFETY: a demuxer may be used from any thread, one at a time; this is its only handle and is
// not `Sync`. The watch is shared only with FFmpeg's callback, which runs inside our own calls.
unsafe impl Send for Input {}

impl Input {
    /// Opens `url` with the demuxer `format`, or with the one that FFmpeg detects.
    pub(super) fn open(
        url: &CStr,
        format: Option<&CStr>,
        mut options: Options,
        watch: Watch,
    ) -> Result<Self, (AvError, Watch)> {
        let watch = Arc::new(watch);
        match open_context(url, format, &mut options, &watch) {
            Ok(context) => {
                options.warn_about_leftovers();
                Ok(Self { context, watch, video: None, sound: None })
            }
            Err(error) => {
                // FFmpeg freed its context, and with it the only other user of the watch.
                let watch = Arc::into_inner(watch);
                Err((error, watch.expect("open_context keeps no clone of the watch")))
            }
        }
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Reads ahead until the streams are known. FFmpeg keeps these packets for [`read`](Self::read).
    pub(super) fn probe(&mut self) -> Result<(), AvError> {
        // SAFETY: an open context; null options are allowed.
        let code =
            unsafe { ffi::avformat_find_stream_info(self.context.as_ptr(), ptr::null_mut()) };
        check(code).map(|_| ())
    }

    /// Whether a video stream is known without reading a picture: the description has its parameter sets, or it is Motion
    /// JPEG, which has none.
    pub(super) fn knows_video(&self) -> bool {
        let raw = self.context.as_ptr();
        // SAFETY: an open context, whose `streams` holds `nb_streams` valid pointers; there are no other references to
        // them here.
        let streams = unsafe {
            std::slice::from_raw_parts((*raw).streams.cast_const(), (*raw).nb_streams as usize)
        };
        streams.iter().any(|&stream| {
            // SAFETY: one of the context's streams, each of which has parameters.
            let parameters = unsafe { &*(*stream).codecpar };
            parameters.codec_type == AVMEDIA_TYPE_VIDEO
                && (parameters.extradata_size > 0
                    || parameters.codec_id == ffi::AVCodecID::AV_CODEC_ID_MJPEG)
        })
    }

    /// Selects the best video stream and makes FFmpeg discard the others.
    pub(super) fn select_video(&mut self, carrier: Carrier) -> Result<StreamInfo, AvError> {
        let raw = self.context.as_ptr();
        // SAFETY: an open context; a null pointer for the decoder skips its look-up.
        let index = check(unsafe {
            ffi::av_find_best_stream(raw, AVMEDIA_TYPE_VIDEO, -1, -1, ptr::null_mut(), 0)
        })?;
        // SAFETY: `streams` holds `nb_streams` valid pointers, and `index` is one of them. They
        // stay valid while the context is open; there are no other references to them here.
        let (time_base, rates, parameters) = unsafe {
            let streams = std::slice::from_raw_parts((*raw).streams, (*raw).nb_streams as usize);
            for &stream in streams.iter().filter(|&&stream| (*stream).index != index) {
                (*stream).discard = ffi::AVDiscard::AVDISCARD_ALL;
            }
            let stream = streams[index as usize];
            (
                (*stream).time_base,
                [(*stream).avg_frame_rate, (*stream).r_frame_rate],
                CodecParameters::copy_of((*stream).codecpar),
            )
        };
        let time_base = from_av(time_base).ok_or(AvError::new(ffi::AVERROR_INVALIDDATA))?;
        self.video =
            Some(Video { index, time_base, referred_bytes: parameters.wrapped_picture_size() });
        Ok(StreamInfo {
            codec: parameters.codec(),
            profile: parameters.profile(),
            size: parameters.size(),
            fps: rates
                .into_iter()
                .filter_map(from_av)
                .find(|fps| PLAUSIBLE_FPS.contains(&fps.as_f64())),
            time_base,
            carrier,
            knows_loss: matches!(carrier, Carrier::File | Carrier::Generated),
            client: matches!(carrier, Carrier::Tcp | Carrier::Udp).then_some(RtspClient::Ffmpeg),
            client_why: None,
            parameters,
            sound: Sound::None,
        })
    }

    /// Also selects the best audio stream, if it can be recorded.
    pub(super) fn select_sound(&mut self) -> Result<Sound, AvError> {
        let raw = self.context.as_ptr();
        let related = self.video.map_or(-1, |video| video.index);
        // SAFETY: an open context; a null pointer for the decoder skips its look-up.
        let found = unsafe {
            ffi::av_find_best_stream(raw, AVMEDIA_TYPE_AUDIO, -1, related, ptr::null_mut(), 0)
        };
        if found == ffi::AVERROR_STREAM_NOT_FOUND {
            return Ok(Sound::None);
        }
        let index = check(found)?;
        // SAFETY: `index` is one of the context's streams, which stay valid while it is open.
        let (stream, time_base, parameters) = unsafe {
            let stream = *(*raw).streams.add(index as usize);
            (stream, (*stream).time_base, CodecParameters::copy_of((*stream).codecpar))
        };
        let time_base = from_av(time_base).ok_or(AvError::new(ffi::AVERROR_INVALIDDATA))?;
        let sound = Sound::of(parameters, time_base, true);
        if matches!(sound, Sound::Comes(_)) {
            // SAFETY: as above; there is no other reference to the stream here.
            unsafe { (*stream).discard = ffi::AVDiscard::AVDISCARD_DEFAULT };
            self.sound = Some((index, time_base));
        }
        Ok(sound)
    }

    /// Reads the next packet of a selected stream. Blocks until there is one or the watch interrupts
    /// the call.
    pub(super) fn read(&mut self) -> Result<Packet, AvError> {
        let Some(video) = self.video else {
            return Err(AvError::new(ffi::AVERROR_STREAM_NOT_FOUND));
        };
        loop {
            // Polled for each packet, since those of other streams must not extend the deadline.
            if self.watch.poll() {
                return Err(AvError::new(ffi::AVERROR_EXIT));
            }
            let mut packet = Packet::empty(video.time_base, video.referred_bytes);
            // SAFETY: an open context and a blank packet.
            let code = unsafe { ffi::av_read_frame(self.context.as_ptr(), packet.as_mut_ptr()) };
            match check(code) {
                // An empty packet would signal the end of the stream to a decoder.
                Ok(_) if packet.stream_index() == video.index && packet.size() > 0 => {
                    return Ok(packet);
                }
                Ok(_) if packet.size() > 0 => {
                    let sound = self.sound.filter(|(index, _)| *index == packet.stream_index());
                    if let Some((_, time_base)) = sound {
                        packet.set_sound(time_base);
                        return Ok(packet);
                    }
                }
                Ok(_) => {}
                Err(error) if error.errno() == Some(libc::EAGAIN) => {
                    self.watch.stop_flag().wait_for(RETRY);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.watch.begin_closing();
        let mut pointer = self.context.as_ptr();
        // SAFETY: ours, closed once; the watch that the callback reads is dropped after this.
        unsafe { ffi::avformat_close_input(&mut pointer) };
    }
}

fn open_context(
    url: &CStr,
    format: Option<&CStr>,
    options: &mut Options,
    watch: &Arc<Watch>,
) -> Result<NonNull<ffi::AVFormatContext>, AvError> {
    // SAFETY: the name is terminated; null if no such demuxer is built in.
    let demuxer = format.map(|name| unsafe { ffi::av_find_input_format(name.as_ptr()) });
    if demuxer.is_some_and(|demuxer| demuxer.is_null()) {
        return Err(AvError::new(ffi::AVERROR_DEMUXER_NOT_FOUND));
    }
    // SAFETY: no arguments; null means out of memory.
    let mut context = unsafe { ffi::avformat_alloc_context() };
    if context.is_null() {
        return Err(AvError::new(-libc::ENOMEM));
    }
    // SAFETY: a new context. The watch outlives it: on failure FFmpeg frees the context within
    // this call, on success `Input` keeps the watch until after closing.
    check(unsafe {
        (*context).interrupt_callback = ffi::AVIOInterruptCB {
            callback: Some(interrupted),
            opaque: Arc::as_ptr(watch).cast_mut().cast(),
        };
        ffi::avformat_open_input(
            &mut context,
            url.as_ptr(),
            demuxer.unwrap_or(ptr::null()),
            options.as_mut_ptr(),
        )
    })?;
    NonNull::new(context).ok_or(AvError::new(ffi::AVERROR_BUG))
}
