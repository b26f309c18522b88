//! Connects FFmpeg's output to a writer.

use std::ffi::{c_int, c_void};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use ffmpeg_sys_next as ffi;

use crate::compat::WrittenBytes;

/// The size of FFmpeg's output buffer. The muxer flushes it after each fragment in any case.
const BUFFER_BYTES: usize = 64 << 10;

/// An output (AVIOContext) that passes its bytes to a writer.
pub(super) struct Sink {
    context: NonNull<ffi::AVIOContext>,
    /// FFmpeg holds a pointer to it, so it must outlive `context`, which `Drop` frees first. A raw pointer, because
    /// the callback writes through another one.
    target: NonNull<Target>,
}

struct Target {
    writer: Box<dyn Write + Send>,
    /// The first error. Nothing is written after it.
    failed: Option<io::Error>,
}

// SAFETY: both are owned and not tied to a thread; `Target` is `Send`, and only calls on this handle reach it.
unsafe impl Send for Sink {}

impl Sink {
    pub(super) fn new(writer: Box<dyn Write + Send>) -> Self {
        let target = NonNull::from(Box::leak(Box::new(Target { writer, failed: None })));
        // SAFETY: takes a size; null means out of memory.
        let buffer = unsafe { ffi::av_malloc(BUFFER_BYTES) };
        // SAFETY: the buffer is from av_malloc as required, and FFmpeg owns it from here on; `target` outlives the
        // context. Without a seek callback the output is a stream.
        let context = unsafe {
            ffi::avio_alloc_context(
                buffer.cast(),
                BUFFER_BYTES as c_int,
                1,
                target.as_ptr().cast(),
                None,
                Some(write),
                None,
            )
        };
        let (false, Some(context)) = (buffer.is_null(), NonNull::new(context)) else {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<ffi::AVIOContext>());
        };
        Self { context, target }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut ffi::AVIOContext {
        self.context.as_ptr()
    }

    /// The first error, if there is one.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        // SAFETY: valid until drop, and FFmpeg does not run the callback while we hold `self`.
        unsafe { self.target.as_mut() }.failed.take()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // SAFETY: ours, freed once. The buffer first, because the context does not free it; FFmpeg may have
        // replaced the original one. Nothing is flushed. The target is freed last, as the box that it was made
        // from.
        unsafe {
            let mut context = self.context.as_ptr();
            ffi::av_freep((&raw mut (*context).buffer).cast());
            ffi::avio_context_free(&mut context);
            drop(Box::from_raw(self.target.as_ptr()));
        }
    }
}

/// FFmpeg's `write_packet`; `opaque` is a [`Target`].
unsafe extern "C" fn write(opaque: *mut c_void, bytes: WrittenBytes, size: c_int) -> c_int {
    let Ok(length) = usize::try_from(size) else { return -libc::EINVAL };
    // SAFETY: `Sink` passes a pointer to a target that it keeps until the context is freed, and accesses it
    // only outside of FFmpeg's calls. FFmpeg passes `size` readable bytes.
    let (target, bytes) =
        unsafe { (&mut *opaque.cast::<Target>(), std::slice::from_raw_parts(bytes, length)) };
    if target.failed.is_some() {
        return -libc::EIO;
    }
    // A panic must not unwind into C.
    let written = catch_unwind(AssertUnwindSafe(|| target.writer.write_all(bytes)))
        .unwrap_or_else(|_| Err(io::Error::other("the writer panicked")));
    match written {
        Ok(()) => size,
        Err(error) => {
            let code = -error.raw_os_error().unwrap_or(libc::EIO);
            target.failed = Some(error);
            code
        }
    }
}
