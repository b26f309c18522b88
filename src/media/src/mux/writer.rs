//! FFmpeg's MP4 muxer, owned.

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
use crate::packet::Packet;
use crate::parameters::CodecParameters;
use crate::sound::{Sound, SoundInfo};
use crate::stream::StreamInfo;

/// Most bytes of a fragment, however long it lasts: a second of 128 Mbit/s.
const MAX_FRAGMENT_BYTES: i64 = 16 << 20;

/// Why a recording could not be begun or go on.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// MP4 has no place for the codec.
    #[error("{codec} can't be put into an MP4 file; expected H.264, H.265 or MPEG-4 video")]
    Unsupported {
        /// FFmpeg's name for it.
        codec: String,
    },
    /// Nothing states the parameter sets: neither the stream's description nor its first packet.
    #[error("the stream has no parameter sets yet")]
    NoParameterSets,
    /// The bytes could not be written.
    #[error("{0}")]
    Write(#[source] io::Error),
    /// FFmpeg refused.
    #[error("FFmpeg's MP4 muxer: {0}")]
    Muxer(#[source] AvError),
}

/// A fragmented MP4 file with one video track, and one of sound where there is some, as it is written.
///
/// Bytes go to the writer a fragment at a time: what was written is always a file that plays up to its last
/// whole fragment. It is a stream: nothing is gone back to.
pub struct Mp4Writer {
    context: NonNull<ffi::AVFormatContext>,
    sink: Sink,
    scratch: Packet,
    has_sound: bool,
}

// SAFETY: a muxer may be used from any thread, by one at a time; this is its only handle and is not `Sync`.
unsafe impl Send for Mp4Writer {}

impl Mp4Writer {
    /// Whether MP4 has a place for the codec that players know.
    ///
    /// # Errors
    /// [`MuxError::Unsupported`] when not.
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

    /// Begins a file of `stream`, of fragments that last `fragment`, that began at `began` (as RFC 3339
    /// writes it).
    ///
    /// `sets` are the parameter sets, where the first packet has them; otherwise the stream's own count. They
    /// are stated before the first picture (`avc1`, `hvc1`), so that a stream whose sets change goes on in a
    /// file of its own.
    ///
    /// # Errors
    /// [`MuxError`]; nothing of what was written is then of use.
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
        // SAFETY: a place for the answer and a terminated name.
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
        // empty_moov: what a player must know stands at the start. default_base_moof: what browsers ask for.
        // negative offsets are not needed: `Placed` never shows a picture before it is decoded.
        options.set(c"movflags", c"empty_moov+default_base_moof");
        options.set_int(c"frag_duration", micros(fragment));
        // A fragment is in memory until it is over, which it never is where timestamps stand still.
        options.set_int(c"frag_size", MAX_FRAGMENT_BYTES);
        mp4.set_creation_time(began);
        // SAFETY: a context with its streams and an output of its own; options are ours.
        let written =
            unsafe { ffi::avformat_write_header(mp4.context.as_ptr(), options.as_mut_ptr()) };
        mp4.outcome(written)?;
        options.warn_about_leftovers();
        Ok(mp4)
    }

    fn add_track(&mut self, stream: &StreamInfo, sets: Option<&[u8]>) -> Result<(), AvError> {
        let raw = self.context.as_ptr();
        // SAFETY: an output context of our own that has no header yet; the new stream is its own, and the
        // parameters copied are valid. The sink outlives the context (`Drop`).
        unsafe {
            (*raw).pb = self.sink.as_mut_ptr();
            (*raw).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
            // After each packet; a fragment is given out when the packet after it has come.
            (*raw).flush_packets = 1;
            let track = ffi::avformat_new_stream(raw, ptr::null());
            if track.is_null() {
                return Err(AvError::new(-libc::ENOMEM));
            }
            let parameters = (*track).codecpar;
            check(ffi::avcodec_parameters_copy(parameters, stream.parameters.as_ptr()))?;
            // The tag of the container that it came in means nothing here. With `hvc1` the sets stand at the
            // start and nowhere else, which is what players of one maker insist on.
            (*parameters).codec_tag = match stream.codec {
                Codec::H265 => u32::from_le_bytes(*b"hvc1"),
                _ => 0,
            };
            if let Some(sets) = sets {
                CodecParameters::set_extradata(parameters, sets)?;
            }
            // The size is that of these sets; the stream's own is of how it began, where it is known.
            let stated = describe(&CodecParameters::copy_of(parameters));
            let stated = stated.and_then(|stated| stated.parameters.size()).or(stream.size);
            if let Some((width, height)) = stated {
                (*parameters).width = to_c_int(width as usize);
                (*parameters).height = to_c_int(height as usize);
            }
            (*track).time_base = stream.time_base.to_av();
            if let Some(fps) = stream.fps {
                (*track).avg_frame_rate = fps.to_av();
            }
        }
        Ok(())
    }

    fn add_sound(&mut self, sound: &SoundInfo) -> Result<(), AvError> {
        let raw = self.context.as_ptr();
        // SAFETY: as with the video track.
        unsafe {
            // FFmpeg before 7 calls Opus in MP4 experimental.
            (*raw).strict_std_compliance = ffi::FF_COMPLIANCE_EXPERIMENTAL;
            let track = ffi::avformat_new_stream(raw, ptr::null());
            if track.is_null() {
                return Err(AvError::new(-libc::ENOMEM));
            }
            let parameters = (*track).codecpar;
            check(ffi::avcodec_parameters_copy(parameters, sound.parameters.as_ptr()))?;
            (*parameters).codec_tag = 0;
            (*track).time_base = sound.time_base.to_av();
        }
        self.has_sound = true;
        Ok(())
    }

    fn set_creation_time(&mut self, time: &str) {
        let Ok(time) = CString::new(time) else { return };
        // SAFETY: a context of our own; both strings are copied. It fails only for want of memory, and then
        // the file lacks a date.
        unsafe {
            let metadata = &raw mut (*self.context.as_ptr()).metadata;
            ffi::av_dict_set(metadata, c"creation_time".as_ptr(), time.as_ptr(), 0);
        }
    }

    /// Adds a packet at `placed`, counted from the start of the file, that lasts `duration` ticks unless the
    /// next one says otherwise. Its data is not copied.
    ///
    /// # Errors
    /// [`MuxError`]; the file ends with the fragment before.
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
        // SAFETY: `scratch` is ours and blank between calls; `packet` is valid and its data is counted. The
        // track's time base is the packet's until the header is written, which may have chosen another.
        let written = unsafe {
            ffi::av_packet_unref(scratch);
            check(ffi::av_packet_ref(scratch, packet.as_ptr())).map_err(MuxError::Muxer)?;
            (*scratch).stream_index = index;
            (*scratch).pts = placed.pts;
            (*scratch).dts = placed.dts;
            (*scratch).duration = duration;
            let track = *(*self.context.as_ptr()).streams.add(index as usize);
            ffi::av_packet_rescale_ts(scratch, packet.time_base().to_av(), (*track).time_base);
            ffi::av_write_frame(self.context.as_ptr(), scratch)
        };
        self.outcome(written)
    }

    /// Writes the last fragment and the index.
    ///
    /// # Errors
    /// [`MuxError`]; the file ends with the fragment before.
    pub fn finish(mut self) -> Result<(), MuxError> {
        // SAFETY: the header was written, and the trailer is written once: this consumes the writer.
        let written = unsafe { ffi::av_write_trailer(self.context.as_ptr()) };
        self.outcome(written)
    }

    /// What the writer failed with says more than what FFmpeg made of it.
    fn outcome(&mut self, code: c_int) -> Result<(), MuxError> {
        if let Some(error) = self.sink.take_failure() {
            return Err(MuxError::Write(error));
        }
        check(code).map(|_| ()).map_err(MuxError::Muxer)
    }
}

impl Drop for Mp4Writer {
    fn drop(&mut self) {
        // SAFETY: ours, freed once; the output is not its own (AVFMT_FLAG_CUSTOM_IO) and is freed after it,
        // with the field `sink`. The muxer's own memory goes with it (`deinit`).
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
