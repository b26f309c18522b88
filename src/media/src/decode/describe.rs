//! What FFmpeg's decoder reads from parameter sets alone, as its demuxers ask it to.

use std::ptr::{self, NonNull};

use ffmpeg_sys_next as ffi;

use crate::av::check;
use crate::parameters::CodecParameters;

/// A codec's parameters with what its parameter sets state.
pub(crate) struct Stated {
    /// Size, pixel format, profile and level filled in.
    pub(crate) parameters: CodecParameters,
    /// How many pictures are shown later than one that is decoded after them.
    pub(crate) reordered: usize,
}

/// Opens a decoder for the parameters and closes it again; no packet is decoded. `None` when FFmpeg has no such
/// decoder or makes nothing of the parameter sets.
pub(crate) fn describe(parameters: &CodecParameters) -> Option<Stated> {
    // SAFETY: looks an id up in a static table; null when this build has no decoder for it.
    let codec = unsafe { ffi::avcodec_find_decoder(parameters.codec_id()) };
    if codec.is_null() {
        return None;
    }
    // SAFETY: `codec` is a valid static descriptor; null means no memory.
    let context = Context(NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) })?);
    let raw = context.0.as_ptr();
    // SAFETY: a fresh context that `context` frees on every way out; the parameters are valid.
    unsafe {
        check(ffi::avcodec_parameters_to_context(raw, parameters.as_ptr())).ok()?;
        (*raw).thread_count = 1;
        check(ffi::avcodec_open2(raw, codec, ptr::null_mut())).ok()?;
        // Opened, a decoder knows its format only after the first picture; without the size of a
        // picture there is nothing to say.
        let parameters = CodecParameters::of_context(raw)?;
        let reordered = usize::try_from((*raw).has_b_frames).unwrap_or(0);
        Some(Stated { parameters, reordered })
    }
}

/// Frees the context.
struct Context(NonNull<ffi::AVCodecContext>);

impl Drop for Context {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: ours, freed once.
        unsafe { ffi::avcodec_free_context(&mut pointer) };
    }
}
