//! FFmpeg's output, into any writer.

use std::ffi::{c_int, c_void};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use ffmpeg_sys_next as ffi;

use crate::compat::WrittenBytes;

/// What is collected before it is written. A fragment is flushed whole, whatever this is.
const BUFFER_BYTES: usize = 64 << 10;

/// An output (AVIOContext) that gives its bytes to a writer.
pub(super) struct Sink {
    context: NonNull<ffi::AVIOContext>,
    /// FFmpeg holds a pointer to it, so it must outlive `context`: `Drop` frees that first. A raw pointer, for
    /// the callback writes through a second one.
    target: NonNull<Target>,
}

struct Target {
    writer: Box<dyn Write + Send>,
    /// The first thing that went wrong. Nothing is written after it.
    failed: Option<io::Error>,
}

// SAFETY: both are owned and tied to no thread; `Target` is `Send`, and only calls on this handle reach it.
unsafe impl Send for Sink {}

impl Sink {
    pub(super) fn new(writer: Box<dyn Write + Send>) -> Self {
        let target = NonNull::from(Box::leak(Box::new(Target { writer, failed: None })));
        // SAFETY: takes a size; null means no memory.
        let buffer = unsafe { ffi::av_malloc(BUFFER_BYTES) };
        // SAFETY: the buffer is from av_malloc as required and FFmpeg's from here on; `target` outlives the
        // context. Without a function for seeking the output is a stream.
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

    /// What went wrong first, if anything did.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        // SAFETY: valid until drop, and FFmpeg is not inside the callback while we hold `self`.
        unsafe { self.target.as_mut() }.failed.take()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // SAFETY: ours, freed once, the buffer first because the context does not free it (FFmpeg may have
        // replaced the one that we gave it). Nothing is flushed. The target is freed last, by the box that it
        // was made from.
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
    // SAFETY: `Sink` passes a pointer to a target that it keeps until the context is freed, and touches it
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
