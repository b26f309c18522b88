//! FFmpeg's codec parameters, which describe a stream to decoders and muxers.

use std::ffi::CStr;
use std::fmt;
use std::ptr::{self, NonNull};

use ffmpeg_sys_next as ffi;

use crate::av::{AvError, check, to_c_int};
use crate::codec::Codec;

/// Codec, size and parameter sets of a stream, which a decoder needs before the first packet.
pub struct CodecParameters(NonNull<ffi::AVCodecParameters>);

// SAFETY: owned memory that is not tied to a thread.
unsafe impl Send for CodecParameters {}
// SAFETY: written only through `&mut`, so shared reads do not race.
unsafe impl Sync for CodecParameters {}

impl CodecParameters {
    /// # Safety
    /// `source` points to parameters that are valid during the call.
    pub(crate) unsafe fn copy_of(source: *const ffi::AVCodecParameters) -> Self {
        // SAFETY: no arguments; null means out of memory.
        let Some(copy) = NonNull::new(unsafe { ffi::avcodec_parameters_alloc() }) else {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<ffi::AVCodecParameters>());
        };
        let owned = Self(copy);
        // SAFETY: `copy` is ours, `source` is valid by this function's contract.
        if check(unsafe { ffi::avcodec_parameters_copy(copy.as_ptr(), source) }).is_err() {
            // Only copying the extradata can fail, and only when out of memory.
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<ffi::AVCodecParameters>());
        }
        owned
    }

    /// Parameters of a video stream with this extradata.
    pub(crate) fn video(id: ffi::AVCodecID, extradata: &[u8]) -> Self {
        Self::of(ffi::AVMediaType::AVMEDIA_TYPE_VIDEO, id, extradata)
    }

    /// Parameters of an audio stream with this extradata, at `rate_hz`.
    pub(crate) fn audio(id: ffi::AVCodecID, extradata: &[u8], rate_hz: u32, channels: u16) -> Self {
        let mut owned = Self::of(ffi::AVMediaType::AVMEDIA_TYPE_AUDIO, id, extradata);
        // SAFETY: ours, with no other borrow; the channel layout is blank and allocates no memory.
        unsafe {
            let parameters = owned.0.as_mut();
            parameters.sample_rate = to_c_int(rate_hz as usize);
            ffi::av_channel_layout_default(&mut parameters.ch_layout, channels.into());
        }
        owned
    }

    fn of(media: ffi::AVMediaType, id: ffi::AVCodecID, extradata: &[u8]) -> Self {
        // SAFETY: no arguments; null means out of memory.
        let Some(raw) = NonNull::new(unsafe { ffi::avcodec_parameters_alloc() }) else {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<ffi::AVCodecParameters>());
        };
        let owned = Self(raw);
        let padded = extradata.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
        // SAFETY: our own new parameters; the allocation is zeroed, holds the copy and its padding, and
        // is freed with the parameters.
        unsafe {
            let raw = raw.as_ptr();
            (*raw).codec_type = media;
            (*raw).codec_id = id;
            if !extradata.is_empty() {
                let copy = ffi::av_mallocz(padded).cast::<u8>();
                if copy.is_null() {
                    std::alloc::handle_alloc_error(std::alloc::Layout::new::<u8>());
                }
                copy.copy_from_nonoverlapping(extradata.as_ptr(), extradata.len());
                (*raw).extradata = copy;
                (*raw).extradata_size = crate::av::to_c_int(extradata.len());
            }
        }
        owned
    }

    /// Sets profile and level, as FFmpeg's numbers.
    pub(crate) fn set_profile(&mut self, profile: i32, level: i32) {
        // SAFETY: ours, with no other borrow.
        let parameters = unsafe { self.0.as_mut() };
        (parameters.profile, parameters.level) = (profile, level);
    }

    /// Sets the visible size in pixels.
    pub(crate) fn set_size(&mut self, width: u32, height: u32) {
        // SAFETY: ours, with no other borrow.
        let parameters = unsafe { self.0.as_mut() };
        parameters.width = crate::av::to_c_int(width as usize);
        parameters.height = crate::av::to_c_int(height as usize);
    }

    /// The parameters of an open decoder: size, pixel format, profile and level come from the extradata.
    ///
    /// # Safety
    /// `context` points to a valid codec context that no other thread uses.
    pub(crate) unsafe fn of_context(context: *const ffi::AVCodecContext) -> Option<Self> {
        // SAFETY: no arguments; null means out of memory.
        let owned = Self(NonNull::new(unsafe { ffi::avcodec_parameters_alloc() })?);
        // SAFETY: our own parameters, and a context that is valid by this function's contract.
        let code = unsafe { ffi::avcodec_parameters_from_context(owned.0.as_ptr(), context) };
        check(code).ok().map(|_| owned)
    }

    /// Parameter sets or a decoder configuration record, as in the container.
    pub(crate) fn extradata(&self) -> &[u8] {
        let parameters = self.get();
        let size = usize::try_from(parameters.extradata_size).unwrap_or(0);
        if parameters.extradata.is_null() || size == 0 {
            return &[];
        }
        // SAFETY: not null, so it has `extradata_size` bytes, which are not written while `self` lives.
        unsafe { std::slice::from_raw_parts(parameters.extradata, size) }
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::AVCodecParameters {
        self.0.as_ptr()
    }

    /// Samples per second and channels, for sound.
    pub(crate) fn sampling(&self) -> (u32, u16) {
        let parameters = self.get();
        let channels = u16::try_from(parameters.ch_layout.nb_channels).unwrap_or(0);
        (u32::try_from(parameters.sample_rate).unwrap_or(0), channels)
    }

    pub(crate) fn codec_id(&self) -> ffi::AVCodecID {
        self.get().codec_id
    }

    pub(crate) fn codec(&self) -> Codec {
        Codec::from_av(self.codec_id())
    }

    /// Out-of-band parameter sets from SDP or container (FFmpeg's extradata).
    pub fn configuration(&self) -> &[u8] {
        self.extradata()
    }

    /// How many pictures the codec holds back for reordering, if the source knows; otherwise 0.
    pub fn reorder_delay(&self) -> usize {
        usize::try_from(self.get().video_delay).unwrap_or(0)
    }

    /// Replaces the extradata of `parameters`.
    ///
    /// # Safety
    /// `parameters` is valid and not used elsewhere.
    pub(crate) unsafe fn set_extradata(
        parameters: *mut ffi::AVCodecParameters,
        extradata: &[u8],
    ) -> Result<(), AvError> {
        let padding = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
        // SAFETY: the old extradata is FFmpeg's or null; the new one has the stated length and zeroed padding,
        // which parsers that read ahead need.
        unsafe {
            ffi::av_freep((&raw mut (*parameters).extradata).cast());
            (*parameters).extradata_size = 0;
            let copy: *mut u8 = ffi::av_mallocz(extradata.len() + padding).cast();
            if copy.is_null() {
                return Err(AvError::new(-libc::ENOMEM));
            }
            ptr::copy_nonoverlapping(extradata.as_ptr(), copy, extradata.len());
            (*parameters).extradata = copy;
            (*parameters).extradata_size = to_c_int(extradata.len());
        }
        Ok(())
    }

    pub(crate) fn profile(&self) -> Option<&'static str> {
        let parameters = self.get();
        // SAFETY: looks a number up in static tables; null if there is no name.
        let name = unsafe { ffi::avcodec_profile_name(parameters.codec_id, parameters.profile) };
        if name.is_null() {
            return None;
        }
        // SAFETY: not null, so a terminated string in FFmpeg's static tables.
        unsafe { CStr::from_ptr(name) }.to_str().ok()
    }

    pub(crate) fn size(&self) -> Option<(u32, u32)> {
        let parameters = self.get();
        let width = u32::try_from(parameters.width).ok()?;
        let height = u32::try_from(parameters.height).ok()?;
        (width > 0 && height > 0).then_some((width, height))
    }

    /// The pixel format that the stream decodes to, if stated.
    pub(crate) fn format(&self) -> Option<std::ffi::c_int> {
        let format = self.get().format;
        crate::color::pixel_format(format).map(|_| format)
    }

    /// The size in bytes of one uncompressed picture, for packets that only refer to pictures.
    pub(crate) fn wrapped_picture_size(&self) -> Option<usize> {
        let parameters = self.get();
        if parameters.codec_id != ffi::AVCodecID::AV_CODEC_ID_WRAPPED_AVFRAME {
            return None;
        }
        let format = crate::color::pixel_format(parameters.format)?;
        // SAFETY: only computes from numbers; the result is negative for an unusable format.
        let size = unsafe {
            ffi::av_image_get_buffer_size(format, parameters.width, parameters.height, 1)
        };
        usize::try_from(size).ok()
    }

    fn get(&self) -> &ffi::AVCodecParameters {
        // SAFETY: owned, valid until drop and not written while borrowed. The enum fields that are
        // read here (codec_type, codec_id) are written by FFmpeg itself with values from its header;
        // the color fields, which may come from a bitstream, are never read.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for CodecParameters {
    fn clone(&self) -> Self {
        // SAFETY: `self` holds valid parameters.
        unsafe { Self::copy_of(self.as_ptr()) }
    }
}

impl Drop for CodecParameters {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: ours, freed once.
        unsafe { ffi::avcodec_parameters_free(&mut pointer) };
    }
}

impl fmt::Debug for CodecParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CodecParameters").field(&self.codec()).finish()
    }
}
