//! Writes MP4 files with FFmpeg's muxer.

use std::ffi::{CString, c_int};
use std::fmt;
use std::io::{self, Write};
use std::ptr::{self, NonNull};
use std::time::Duration;

use ffmpeg_sys_next as ffi;

use super::sink::Sink;
use super::timeline::Placed;
use crate::av::{AvError, Options, check, to_c_int};
use crate::codec::Codec;
use crate::decode::describe;
use crate::fraction::to_av;
use crate::packet::Packet;
use crate::parameters::CodecParameters;
use crate::sound::{Sound, SoundInfo};
use crate::stream::StreamInfo;

/// Most bytes in a fragment, regardless of its duration: a second of 128 Mbit/s.
const MAX_FRAGMENT_BYTES: i64 = 16 << 20;

/// Why a recording can't begin or continue.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// MP4 does not support the codec.
    #[error("{codec} can't be put into an MP4 file; expected H.264, H.265 or MPEG-4 video")]
    Unsupported {
        /// FFmpeg's name for the codec.
        codec: String,
    },
    /// Neither the stream's description nor its first packet has parameter sets.
    #[error("the stream has no parameter sets yet")]
    NoParameterSets,
    /// The bytes could not be written.
    #[error("{0}")]
    Write(#[source] io::Error),
    /// FFmpeg returned an error.
    #[error("FFmpeg's MP4 muxer: {0}")]
    Muxer(#[source] AvError),
}

/// A fragmented MP4 file that is being written, with a video track and, if there is sound, a sound track.
///
/// It writes one fragment at a time and never seeks back, so the file can be played up to its last complete fragment at
/// any time.
pub struct Mp4Writer {
    context: NonNull<ffi::AVFormatContext>,
    sink: Sink,
    scratch: Packet,
    has_sound: bool,
}

// SAFETY: a muxer may be used from any thread, one at a time; this is its only handle and is not `Sync`.
unsafe impl Send for Mp4Writer {}

impl Mp4Writer {
    /// Checks that MP4 files with this codec exist and that players support them.
    ///
    /// # Errors
    /// [`MuxError::Unsupported`] otherwise.
    pub fn takes(codec: &Codec) -> Result<(), MuxError> {
        let fits = match codec {
            Codec::H264 | Codec::H265 => true,
            Codec::Raw => false,
            Codec::Other(name) => ["mpeg4", "av1", "vp9", "mjpeg"].contains(&name.as_str()),
        };
        match fits {
            true => Ok(()),
            false => Err(MuxError::Unsupported { codec: codec.name().to_owned() }),
        }
    }

    /// Begins a file of `stream` with fragments of the duration `fragment`. `began` is the start of the recording, in
    /// the format of RFC 3339.
    ///
    /// `sets` are the parameter sets of the first packet; without them those of the stream apply. The file states
    /// them before the first picture (`avc1`, `hvc1`), so a stream whose sets change needs a new file.
    ///
    /// # Errors
    /// [`MuxError`]; what was written is then useless.
    pub fn begin(
        stream: &StreamInfo,
        sets: Option<&[u8]>,
        fragment: Duration,
        began: &str,
        writer: Box<dyn Write + Send>,
    ) -> Result<Self, MuxError> {
        let codec = stream.parameters.codec();
        Self::takes(&codec)?;
        let stated = sets.unwrap_or(stream.parameters.configuration());
        if matches!(codec, Codec::H264 | Codec::H265) && stated.is_empty() {
            return Err(MuxError::NoParameterSets);
        }
        let mut context = ptr::null_mut();
        // SAFETY: a valid pointer for the result and a terminated name.
        let made = unsafe {
            ffi::avformat_alloc_output_context2(
                &mut context,
                ptr::null(),
                c"mp4".as_ptr(),
                ptr::null(),
            )
        };
        check(made).map_err(MuxError::Muxer)?;
        let context =
            NonNull::new(context).ok_or(MuxError::Muxer(AvError::new(ffi::AVERROR_BUG)))?;
        let scratch = Packet::empty(stream.time_base, None);
        let mut mp4 = Self { context, sink: Sink::new(writer), scratch, has_sound: false };
        mp4.add_track(stream, sets).map_err(MuxError::Muxer)?;
        if let Sound::Comes(sound) = &stream.sound {
            mp4.add_sound(sound).map_err(MuxError::Muxer)?;
        }
        let mut options = Options::new();
        // empty_moov puts everything that a player needs at the start; browsers require default_base_moof.
        // Negative offsets are not needed: `Placed` never presents a picture before it is decoded.
        options.set(c"movflags", c"empty_moov+default_base_moof");
        options.set_int(c"frag_duration", micros(fragment));
        // A fragment stays in memory until it ends, which never happens while timestamps stand still.
        options.set_int(c"frag_size", MAX_FRAGMENT_BYTES);
        mp4.set_creation_time(began);
        // SAFETY: a context with its streams and output; the options are ours.
        let written =
            unsafe { ffi::avformat_write_header(mp4.context.as_ptr(), options.as_mut_ptr()) };
        mp4.outcome(written)?;
        options.warn_about_leftovers();
        Ok(mp4)
    }

    fn add_track(&mut self, stream: &StreamInfo, sets: Option<&[u8]>) -> Result<(), AvError> {
        let raw = self.context.as_ptr();
        // SAFETY: our own output context without a header yet; it owns the new stream, and the copied
        // parameters are valid. The sink outlives the context (`Drop`).
        unsafe {
            (*raw).pb = self.sink.as_mut_ptr();
            (*raw).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
            // Flushes after each packet; a fragment is written when the packet after it arrives.
            (*raw).flush_packets = 1;
            let track = ffi::avformat_new_stream(raw, ptr::null());
            if track.is_null() {
                return Err(AvError::new(-libc::ENOMEM));
            }
            let parameters = (*track).codecpar;
            check(ffi::avcodec_parameters_copy(parameters, stream.parameters.as_ptr()))?;
            // The source container's tag does not apply here. `hvc1` means that the sets are at the start and
            // nowhere else, which Apple's players require.
            (*parameters).codec_tag = match stream.codec {
                Codec::H265 => u32::from_le_bytes(*b"hvc1"),
                _ => 0,
            };
            if let Some(sets) = sets {
                CodecParameters::set_extradata(parameters, sets)?;
            }
            // These sets state the size; the stream's size, if known, is the one with which it began.
            let description = describe(&CodecParameters::copy_of(parameters));
            let size = description.and_then(|described| described.parameters.size());
            if let Some((width, height)) = size.or(stream.size) {
                (*parameters).width = to_c_int(width as usize);
                (*parameters).height = to_c_int(height as usize);
            }
            (*track).time_base = to_av(stream.time_base);
            if let Some(fps) = stream.fps {
                (*track).avg_frame_rate = to_av(fps);
            }
        }
        Ok(())
    }

    fn add_sound(&mut self, sound: &SoundInfo) -> Result<(), AvError> {
        let raw = self.context.as_ptr();
        // SAFETY: as for the video track.
        unsafe {
            // FFmpeg before 7 treats Opus in MP4 as experimental.
            (*raw).strict_std_compliance = ffi::FF_COMPLIANCE_EXPERIMENTAL;
            let track = ffi::avformat_new_stream(raw, ptr::null());
            if track.is_null() {
                return Err(AvError::new(-libc::ENOMEM));
            }
            let parameters = (*track).codecpar;
            check(ffi::avcodec_parameters_copy(parameters, sound.parameters.as_ptr()))?;
            (*parameters).codec_tag = 0;
            (*track).time_base = to_av(sound.time_base);
        }
        self.has_sound = true;
        Ok(())
    }

    fn set_creation_time(&mut self, time: &str) {
        let Ok(time) = CString::new(time) else { return };
        // SAFETY: our own context; both strings are copied. It fails only when out of memory; then the file
        // lacks a date.
        unsafe {
            let metadata = &raw mut (*self.context.as_ptr()).metadata;
            ffi::av_dict_set(metadata, c"creation_time".as_ptr(), time.as_ptr(), 0);
        }
    }

    /// Adds a packet at `placed`, relative to the start of the file. Its duration is `duration` ticks unless the next
    /// packet determines it. The data is not copied.
    ///
    /// # Errors
    /// [`MuxError`]; the file ends with the previous fragment.
    pub fn write(
        &mut self,
        packet: &Packet,
        placed: Placed,
        duration: i64,
    ) -> Result<(), MuxError> {
        if packet.is_sound() && !self.has_sound {
            return Ok(());
        }
        let index = c_int::from(packet.is_sound());
        let scratch = self.scratch.as_mut_ptr();
        // SAFETY: `scratch` is ours and blank between calls; `packet` is valid and its data is reference-counted.
        // Writing the header may have changed the track's time base, so the times are rescaled.
        let written = unsafe {
            ffi::av_packet_unref(scratch);
            check(ffi::av_packet_ref(scratch, packet.as_ptr())).map_err(MuxError::Muxer)?;
            (*scratch).stream_index = index;
            (*scratch).pts = placed.pts;
            (*scratch).dts = placed.dts;
            (*scratch).duration = duration;
            let track = *(*self.context.as_ptr()).streams.add(index as usize);
            ffi::av_packet_rescale_ts(scratch, to_av(packet.time_base()), (*track).time_base);
            ffi::av_write_frame(self.context.as_ptr(), scratch)
        };
        self.outcome(written)
    }

    /// Writes the last fragment and the index.
    ///
    /// # Errors
    /// [`MuxError`]; the file ends with the previous fragment.
    pub fn finish(mut self) -> Result<(), MuxError> {
        // SAFETY: the header was written, and the trailer is written once: this consumes the writer.
        let written = unsafe { ffi::av_write_trailer(self.context.as_ptr()) };
        self.outcome(written)
    }

    /// Converts FFmpeg's code, but prefers the writer's error, which has more detail.
    fn outcome(&mut self, code: c_int) -> Result<(), MuxError> {
        if let Some(error) = self.sink.take_failure() {
            return Err(MuxError::Write(error));
        }
        check(code).map(|_| ()).map_err(MuxError::Muxer)
    }
}

impl Drop for Mp4Writer {
    fn drop(&mut self) {
        // SAFETY: ours, freed once. It does not own the output (AVFMT_FLAG_CUSTOM_IO), which is freed after it, with
        // the field `sink`. This also frees the muxer's own memory (`deinit`).
        unsafe { ffi::avformat_free_context(self.context.as_ptr()) };
    }
}

impl fmt::Debug for Mp4Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mp4Writer")
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
