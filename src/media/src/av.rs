//! Thin layer over FFmpeg's C API: initialization, return codes and option lists.
//!
//! House rules for unsafe code in this crate:
//!
//! 1. A raw FFmpeg pointer lives in exactly one owning type (`Input`, `Packet`, `Frame`,
//!    `CodecParameters`, `FfmpegDecoder`, `HardwareDevice`, `Hardware`, `Scaler`, `Options`, `Mp4Writer`, `Sink`,
//!    `ParameterSets`), which frees it in `Drop` and never passes it out of the crate.
//! 2. Every owning type is `Send` and not `Sync`: FFmpeg's objects may move between threads but
//!    are used by one thread at a time. `CodecParameters` and `HardwareDevice` are also `Sync`,
//!    because they are never written after construction.
//! 3. Return codes go through [`check`]; allocation failures abort the process, as in Rust.
//! 4. A C enum whose value comes from a bitstream is read as a number (`addr_of!(..).cast()`),
//!    never as a Rust enum: some decoders copy such values unchecked.
//! 5. Callbacks from C (log, interrupt, format selection, device release, output) must not unwind.
//! 6. A CUDA handle is cast as a pointer between FFmpeg's and cudarc's types, and outlives every object that
//!    uses it: FFmpeg's device holds the `CudaDevice`'s context and stream. The driver is called
//!    through `cuda::driver`, which resolves each function first, or through cudarc on top of it.

use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::ptr;
use std::sync::Once;

use ffmpeg_sys_next as ffi;

/// Initializes FFmpeg: network, and logging through `tracing`.
///
/// Only the first call in a process has an effect. [`open`](crate::open) and
/// [`open_software`](crate::open_software) call it, so an explicit call only decides when it
/// happens.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        crate::log::install();
        // SAFETY: it takes no argument and may be called from any thread; `Once` prevents concurrent
        // calls.
        let network = unsafe { ffi::avformat_network_init() };
        if let Err(error) = check(network) {
            tracing::error!(%error, "FFmpeg's network layer failed to start; cameras can't be opened");
        }
    });
}

/// An FFmpeg error code. Its `Display` writes FFmpeg's description.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AvError(c_int);

impl AvError {
    pub(crate) const fn new(code: c_int) -> Self {
        Self(code)
    }

    /// The code: a negated errno, or one of FFmpeg's `AVERROR_*` tags.
    pub const fn code(self) -> i32 {
        self.0
    }

    /// The errno, if the code is one.
    pub(crate) fn errno(self) -> Option<c_int> {
        // FFmpeg's tags consist of four characters, which puts them far outside the range of errno.
        (-4095..0).contains(&self.0).then_some(-self.0)
    }
}

impl fmt::Display for AvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0 as c_char; ffi::AV_ERROR_MAX_STRING_SIZE];
        // SAFETY: the buffer is ours and its real size is passed; av_strerror always terminates it.
        let description = unsafe {
            ffi::av_strerror(self.0, text.as_mut_ptr(), text.len());
            CStr::from_ptr(text.as_ptr())
        };
        write!(f, "{}", description.to_string_lossy())
    }
}

impl fmt::Debug for AvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AvError({}: {self})", self.0)
    }
}

impl std::error::Error for AvError {}

/// Turns FFmpeg's return convention (negative is failure) into a `Result`.
pub(crate) fn check(code: c_int) -> Result<c_int, AvError> {
    if code < 0 { Err(AvError(code)) } else { Ok(code) }
}

/// Converts a length or an index for C. None in this crate comes near `c_int::MAX`.
pub(crate) fn to_c_int(value: usize) -> c_int {
    c_int::try_from(value).unwrap_or(c_int::MAX)
}

/// An option list (AVDictionary) for opening a demuxer or a decoder.
pub(crate) struct Options(*mut ffi::AVDictionary);

impl Options {
    pub(crate) fn new() -> Self {
        Self(ptr::null_mut())
    }

    pub(crate) fn set(&mut self, key: &CStr, value: &CStr) {
        // SAFETY: av_dict_set copies both strings and allocates the list on first use. It fails
        // only when out of memory, which `log_failure` reports.
        let code = unsafe { ffi::av_dict_set(&mut self.0, key.as_ptr(), value.as_ptr(), 0) };
        self.log_failure(key, code);
    }

    pub(crate) fn set_int(&mut self, key: &CStr, value: i64) {
        // SAFETY: as in `set`.
        let code = unsafe { ffi::av_dict_set_int(&mut self.0, key.as_ptr(), value, 0) };
        self.log_failure(key, code);
    }

    /// For FFmpeg calls that remove the entries they accept and leave unknown ones.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut *mut ffi::AVDictionary {
        &mut self.0
    }

    /// Logs the options that FFmpeg did not accept. Otherwise an option that a new release renamed
    /// would be ignored silently.
    pub(crate) fn warn_about_leftovers(&self) {
        let mut entry: *const ffi::AVDictionaryEntry = ptr::null();
        loop {
            // SAFETY: iterates over our own list; an empty key with IGNORE_SUFFIX matches every entry,
            // and `entry` is null or what the last call returned.
            entry = unsafe {
                ffi::av_dict_get(self.0, c"".as_ptr(), entry, ffi::AV_DICT_IGNORE_SUFFIX)
            };
            if entry.is_null() {
                return;
            }
            // SAFETY: a non-null entry has a terminated key that lives as long as the list.
            let key = unsafe { CStr::from_ptr((*entry).key) };
            tracing::warn!(option = %key.to_string_lossy(), "FFmpeg does not know this option");
        }
    }

    fn log_failure(&self, key: &CStr, code: c_int) {
        if let Err(error) = check(code) {
            tracing::error!(option = %key.to_string_lossy(), %error, "can't set an FFmpeg option");
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: we own the list; freeing a null list does nothing.
        unsafe { ffi::av_dict_free(&mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_display_ffmpegs_description() {
        assert_eq!(AvError::new(ffi::AVERROR_EOF).to_string(), "End of file");
        assert_eq!(AvError::new(-libc::ECONNREFUSED).to_string(), "Connection refused");
    }

    #[test]
    fn only_negated_errnos_have_an_errno() {
        assert_eq!(AvError::new(-libc::ENOENT).errno(), Some(libc::ENOENT));
        assert_eq!(AvError::new(ffi::AVERROR_EOF).errno(), None);
    }

    #[test]
    fn init_can_be_called_again() {
        init();
        init();
    }
}
