//! The thin layer over FFmpeg's C calls: start-up, return codes and option lists.
//!
//! House rules for unsafe code in this crate:
//!
//! 1. A raw FFmpeg pointer lives in exactly one owning type (`Input`, `Packet`, `Frame`,
//!    `CodecParameters`, `FfmpegDecoder`, `HardwareDevice`, `Scaler`, `Options`, `Mp4Writer`, `Sink`,
//!    `ParameterSets`), which frees it in `Drop` and never hands it out beyond the crate.
//! 2. Every owning type is `Send` and not `Sync`: FFmpeg's objects may move between threads but
//!    are used by one thread at a time. `CodecParameters` and `HardwareDevice` are `Sync` too,
//!    because they are never written after they are made.
//! 3. Return codes go through [`check`]; allocation failures end the process as Rust's own do.
//! 4. A C enum whose value comes from a bitstream is read as a number (`addr_of!(..).cast()`),
//!    never as a Rust enum: some decoders copy such values unchecked.
//! 5. Callbacks from C (log, interrupt, choice of format, end of a device, output) must not unwind.
//! 6. A CUDA handle is cast as a pointer between FFmpeg's and cudarc's types and outlives what was
//!    given it: FFmpeg's device holds the `CudaDevice`'s context and stream. The driver is called
//!    through `cuda::driver`, which looks each function up first, or through cudarc behind it.

use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::ptr;
use std::sync::Once;

use ffmpeg_sys_next as ffi;

/// Prepares FFmpeg: network, devices, and its log lines into `tracing`.
///
/// Needed once a process; further calls do nothing. [`open`](crate::open) and
/// [`open_software`](crate::open_software) call it by themselves, so an explicit call only decides
/// when it happens.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        crate::log::install();
        // SAFETY: both take no argument and may be called from any thread; `Once` keeps a second
        // thread from running them at the same time.
        let network = unsafe {
            ffi::avdevice_register_all();
            ffi::avformat_network_init()
        };
        if let Err(error) = check(network) {
            tracing::error!(%error, "FFmpeg's network layer did not start; cameras cannot be opened");
        }
    });
}

/// A failure code of FFmpeg; displays as FFmpeg's own words for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AvError(c_int);

impl AvError {
    pub(crate) const fn new(code: c_int) -> Self {
        Self(code)
    }

    /// FFmpeg's number: a negated errno, or one of its `AVERROR_*` tags.
    pub const fn code(self) -> i32 {
        self.0
    }

    /// The errno behind the code, when there is one.
    pub(crate) fn errno(self) -> Option<c_int> {
        // FFmpeg's own tags are four characters, so far outside the errno range.
        (-4095..0).contains(&self.0).then_some(-self.0)
    }
}

impl fmt::Display for AvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0 as c_char; ffi::AV_ERROR_MAX_STRING_SIZE];
        // SAFETY: the buffer is ours and its real size is passed; av_strerror always terminates it.
        let words = unsafe {
            ffi::av_strerror(self.0, text.as_mut_ptr(), text.len());
            CStr::from_ptr(text.as_ptr())
        };
        write!(f, "{}", words.to_string_lossy())
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

/// A length or index on its way into C. Nothing this crate handles comes near two thousand million.
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
        // only for want of memory, which the check below reports.
        let code = unsafe { ffi::av_dict_set(&mut self.0, key.as_ptr(), value.as_ptr(), 0) };
        self.note(key, code);
    }

    pub(crate) fn set_int(&mut self, key: &CStr, value: i64) {
        // SAFETY: as in `set`.
        let code = unsafe { ffi::av_dict_set_int(&mut self.0, key.as_ptr(), value, 0) };
        self.note(key, code);
    }

    /// For FFmpeg calls that consume entries and leave those that nobody knew.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut *mut ffi::AVDictionary {
        &mut self.0
    }

    /// Logs the options that FFmpeg did not take: a name that a new release renamed would
    /// otherwise be ignored in silence.
    pub(crate) fn warn_about_leftovers(&self) {
        let mut entry: *const ffi::AVDictionaryEntry = ptr::null();
        loop {
            // SAFETY: walks our own list; an empty key with IGNORE_SUFFIX matches every entry, and
            // `entry` is null or what the last call returned.
            entry = unsafe {
                ffi::av_dict_get(self.0, c"".as_ptr(), entry, ffi::AV_DICT_IGNORE_SUFFIX)
            };
            if entry.is_null() {
                return;
            }
            // SAFETY: a non-null entry has a terminated key that lives as long as the list.
            let key = unsafe { CStr::from_ptr((*entry).key) };
            tracing::warn!(option = %key.to_string_lossy(), "FFmpeg did not take this option");
        }
    }

    fn note(&self, key: &CStr, code: c_int) {
        if let Err(error) = check(code) {
            tracing::error!(option = %key.to_string_lossy(), %error, "an FFmpeg option was not set");
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
    fn errors_speak_ffmpegs_words() {
        assert_eq!(AvError::new(ffi::AVERROR_EOF).to_string(), "End of file");
        assert_eq!(AvError::new(-libc::ECONNREFUSED).to_string(), "Connection refused");
    }

    #[test]
    fn only_a_negated_errno_is_one() {
        assert_eq!(AvError::new(-libc::ENOENT).errno(), Some(libc::ENOENT));
        assert_eq!(AvError::new(ffi::AVERROR_EOF).errno(), None);
    }

    #[test]
    fn init_may_be_called_again() {
        init();
        init();
    }
}
