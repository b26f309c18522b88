//! FFmpeg's devices, of which a test picture needs one. They are loaded when the first test picture is opened.
//!
//! libavdevice and the libraries that it brings in (libavfilter, X11, SDL, sound servers: some eighty) would otherwise
//! be loaded and relocated in every process that opens a camera. With the feature `static-ffmpeg`, it is linked in.

#[cfg(not(feature = "static-ffmpeg"))]
use std::ffi::{CStr, CString, c_char};
use std::sync::OnceLock;

use ffmpeg_sys_next as ffi;

/// Makes FFmpeg's devices available.
///
/// # Errors
/// The dynamic loader's message.
pub(crate) fn load() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED.get_or_init(register).clone()
}

#[cfg(feature = "static-ffmpeg")]
fn register() -> Result<(), String> {
    // SAFETY: it has no requirement, may be called from any thread, and is called once.
    unsafe { ffi::avdevice_register_all() };
    Ok(())
}

#[cfg(not(feature = "static-ffmpeg"))]
fn register() -> Result<(), String> {
    // That of the headers, so that it uses the same libavformat as we do.
    let name = format!("libavdevice.so.{}", ffi::LIBAVDEVICE_VERSION_MAJOR);
    let name = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the name is terminated, and loading FFmpeg's library has no other requirement. It is never unloaded.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return Err(last_error());
    }
    // SAFETY: the handle is open and the name is terminated.
    let function = unsafe { libc::dlsym(library, c"avdevice_register_all".as_ptr()) };
    if function.is_null() {
        return Err(last_error());
    }
    // SAFETY: libavdevice/avdevice.h declares this function so in all its versions. It may be called from any
    // thread, and is called once.
    unsafe {
        let register_all: unsafe extern "C" fn() = std::mem::transmute(function);
        register_all();
    }
    Ok(())
}

#[cfg(not(feature = "static-ffmpeg"))]
fn last_error() -> String {
    // SAFETY: dlerror has no requirement; its text is the calling thread's own until its next call.
    unsafe {
        let words: *const c_char = libc::dlerror();
        if words.is_null() {
            "unknown error".into()
        } else {
            CStr::from_ptr(words).to_string_lossy().into()
        }
    }
}
