//! Differences between releases of FFmpeg and between processor architectures.
//!
//! The crate is written for FFmpeg 7 and later. `before_7` implements the same for FFmpeg 5.1 and 6; build.rs selects
//! the module. No other part of the crate depends on the version.

use std::ffi::c_int;

#[cfg(ffmpeg_before_7)]
use before_7 as release;
#[cfg(not(ffmpeg_before_7))]
use since_7 as release;

pub(crate) use release::{TagCarrier, WrittenBytes, is_interlaced, is_key};

/// A C `va_list` as a parameter. On x86-64 it is an array, which C passes as a pointer to its element; elsewhere it is
/// a structure or a pointer, for which bindgen has a type of that name.
#[cfg(target_arch = "x86_64")]
pub(crate) type VaList = *mut ffmpeg_sys_next::__va_list_tag;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type VaList = ffmpeg_sys_next::va_list;

/// Flags of the scaler (libswscale/swscale.h). They are constants before FFmpeg 8 and an enumeration since, so bindgen
/// names them differently.
pub(crate) const SWS_BILINEAR: c_int = 1 << 1;
pub(crate) const SWS_BICUBIC: c_int = 1 << 2;

/// AV_HWACCEL_FLAG_UNSAFE_OUTPUT: a decoder on a GPU returns its own surfaces. Without it, FFmpeg 6 and later first copy
/// each picture on the GPU, so that a caller who holds many pictures can't stall the decoder; here the number of
/// surfaces accounts for those. FFmpeg 5.1 neither defines nor reads the flag.
pub(crate) const UNSAFE_OUTPUT: c_int = 1 << 3;

/// Whether a picture from NVDEC holds only its output surface, and no longer the surface that it was decoded to
/// (FFmpeg 9, nvdec_retrieve_data in libavcodec/nvdec.c). When too many pictures are held, mapping a picture then fails
/// instead of decoding one.
pub(crate) fn pictures_hold_only_outputs() -> bool {
    ffmpeg_sys_next::LIBAVCODEC_VERSION_MAJOR >= 63
}

#[cfg(not(ffmpeg_before_7))]
mod since_7 {
    use std::alloc::{Layout, handle_alloc_error};
    use std::ffi::c_int;
    use std::ptr::{self, NonNull};

    use ffmpeg_sys_next as ffi;

    /// The buffer parameter of an output's write callback.
    pub(crate) type WrittenBytes = *const u8;

    /// Sends packets, each with a tag that the decoder copies to the packet's frame.
    ///
    /// The tag travels as the packet's `opaque`. The caller's packet is shared and must not be written, so this sends a
    /// second reference to its data.
    pub(crate) struct TagCarrier {
        /// Empty between two calls.
        reference: NonNull<ffi::AVPacket>,
    }

    // SAFETY: an empty packet is tied to no thread; this is its only handle.
    unsafe impl Send for TagCarrier {}

    impl TagCarrier {
        /// Makes a decoder pass tags on.
        ///
        /// # Safety
        /// `context` is valid and not open yet.
        pub(crate) unsafe fn new(context: *mut ffi::AVCodecContext) -> Self {
            // SAFETY: no arguments; null means out of memory.
            let Some(reference) = NonNull::new(unsafe { ffi::av_packet_alloc() }) else {
                handle_alloc_error(Layout::new::<ffi::AVPacket>());
            };
            // SAFETY: valid by contract; a plain number that FFmpeg reads when it decodes.
            unsafe { (*context).flags |= ffi::AV_CODEC_FLAG_COPY_OPAQUE as c_int };
            Self { reference }
        }

        /// Calls `avcodec_send_packet`.
        ///
        /// # Safety
        /// `context` is open and the one passed to `new`; `packet` is valid and its data is reference-counted.
        pub(crate) unsafe fn send(
            &mut self,
            context: *mut ffi::AVCodecContext,
            packet: *const ffi::AVPacket,
            tag: i64,
        ) -> c_int {
            let reference = self.reference.as_ptr();
            // SAFETY: valid by contract; `reference` is ours, empty before and after. `opaque` holds a number, which
            // FFmpeg never dereferences.
            unsafe {
                let referenced = ffi::av_packet_ref(reference, packet);
                if referenced < 0 {
                    return referenced;
                }
                (*reference).opaque = ptr::without_provenance_mut(tag as usize);
                let sent = ffi::avcodec_send_packet(context, reference);
                ffi::av_packet_unref(reference);
                sent
            }
        }

        /// The tag of a frame's packet.
        pub(crate) fn tag(frame: &ffi::AVFrame) -> i64 {
            frame.opaque.addr() as i64
        }
    }

    impl Drop for TagCarrier {
        fn drop(&mut self) {
            let mut pointer = self.reference.as_ptr();
            // SAFETY: ours, freed once.
            unsafe { ffi::av_packet_free(&mut pointer) };
        }
    }

    /// Whether the decoder marks this as a key frame.
    pub(crate) fn is_key(frame: &ffi::AVFrame) -> bool {
        frame.flags & ffi::AV_FRAME_FLAG_KEY as c_int != 0
    }

    /// Whether the picture consists of two fields.
    pub(crate) fn is_interlaced(frame: &ffi::AVFrame) -> bool {
        frame.flags & ffi::AV_FRAME_FLAG_INTERLACED as c_int != 0
    }
}

#[cfg(ffmpeg_before_7)]
mod before_7 {
    use std::ffi::c_int;

    use ffmpeg_sys_next as ffi;

    /// What an output's callback is given.
    pub(crate) type WrittenBytes = *mut u8;

    /// Sends packets, each with a tag that the decoder copies to the packet's frame.
    ///
    /// The tag travels as the context's `reordered_opaque`, which the decoder copies to the frame that it starts
    /// (FFmpeg 5.1, ff_decode_frame_props in libavcodec/decode.c); the caller receives everything before it sends
    /// the next packet.
    pub(crate) struct TagCarrier;

    impl TagCarrier {
        /// # Safety
        /// No requirement; `since_7` has one.
        pub(crate) unsafe fn new(_context: *mut ffi::AVCodecContext) -> Self {
            Self
        }

        /// Calls `avcodec_send_packet`.
        ///
        /// # Safety
        /// `context` is open and not used elsewhere; `packet` is valid.
        pub(crate) unsafe fn send(
            &mut self,
            context: *mut ffi::AVCodecContext,
            packet: *const ffi::AVPacket,
            tag: i64,
        ) -> c_int {
            // SAFETY: valid by contract; FFmpeg only reads and references the packet.
            unsafe {
                let before = (*context).reordered_opaque;
                (*context).reordered_opaque = tag;
                let sent = ffi::avcodec_send_packet(context, packet);
                if sent == -libc::EAGAIN {
                    // Not accepted: an earlier packet is still queued and must be decoded with its own tag.
                    (*context).reordered_opaque = before;
                }
                sent
            }
        }

        /// The tag of a frame's packet.
        pub(crate) fn tag(frame: &ffi::AVFrame) -> i64 {
            frame.reordered_opaque
        }
    }

    /// Whether the decoder marks this as a key frame.
    pub(crate) fn is_key(frame: &ffi::AVFrame) -> bool {
        frame.key_frame != 0
    }

    /// Whether the picture consists of two fields.
    pub(crate) fn is_interlaced(frame: &ffi::AVFrame) -> bool {
        frame.interlaced_frame != 0
    }
}
