//! Reads parameter sets with FFmpeg's decoders, as FFmpeg's demuxers do.

use std::ptr::{self, NonNull};

use ffmpeg_sys_next as ffi;

use crate::av::check;
use crate::parameters::CodecParameters;

/// What the parameter sets of a stream state.
pub(crate) struct Description {
    /// Codec parameters with size, pixel format, profile and level.
    pub(crate) parameters: CodecParameters,
    /// Most pictures that precede any picture in decoding order and follow it in output order.
    pub(crate) reordered: usize,
}

/// Opens a decoder for the parameters and closes it again, without decoding a packet. `None` if FFmpeg has no
/// decoder or can't read the parameter sets.
pub(crate) fn describe(parameters: &CodecParameters) -> Option<Description> {
    // SAFETY: looks an id up in a static table; null if this build has no decoder for it.
    let codec = unsafe { ffi::avcodec_find_decoder(parameters.codec_id()) };
    if codec.is_null() {
        return None;
    }
    // SAFETY: `codec` is a valid static descriptor; null means out of memory.
    let context = Context(NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) })?);
    let raw = context.0.as_ptr();
    // SAFETY: a new context that `context` frees on every return; the parameters are valid.
    unsafe {
        check(ffi::avcodec_parameters_to_context(raw, parameters.as_ptr())).ok()?;
        (*raw).thread_count = 1;
        check(ffi::avcodec_open2(raw, codec, ptr::null_mut())).ok()?;
        // Before the first picture, a decoder may not know its size and format, which are then unset.
        let parameters = CodecParameters::of_context(raw)?;
        let reordered = usize::try_from((*raw).has_b_frames).unwrap_or(0);
        Some(Description { parameters, reordered })
    }
}

/// Frees the context when dropped.
struct Context(NonNull<ffi::AVCodecContext>);

impl Drop for Context {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: ours, freed once.
        unsafe { ffi::avcodec_free_context(&mut pointer) };
    }
}
