//! The interface for a test in the same process: `sim_va_*`, for C and for `testing::Simulator`.
//!
//! House rules. Texts are C strings or null; a buffer for text has the capacity given with it.

use std::ffi::{CStr, c_char, c_int};

use vas_sim_common::forbid_this_thread;

use super::config::config;
use super::{exit, misuse, site};

/// The text of a C caller; None for null and what is not UTF-8.
fn text<'a>(text: *const c_char) -> Option<&'a str> {
    // SAFETY: not null, so a C string by the house rules, and used only within the call.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }).and_then(|text| text.to_str().ok())
}

/// Changes a setting, `key=value`; 0, or -1 with the reason on standard error.
#[unsafe(no_mangle)]
extern "C" fn sim_va_set(line: *const c_char) -> c_int {
    let outcome = text(line).ok_or("no text".to_owned()).and_then(|line| config().set(line));
    match outcome {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("simulated VA-API: {why}");
            -1
        }
    }
}

/// Makes any later call of this thread misuse (1), or ends that (0).
#[unsafe(no_mangle)]
extern "C" fn sim_va_forbid_this_thread(forbidden: bool) {
    forbid_this_thread(forbidden);
}

/// Writes the misuses found so far, one per line, and returns the bytes needed for all.
#[unsafe(no_mangle)]
extern "C" fn sim_va_report(buffer: *mut u8, capacity: usize) -> usize {
    let lines = misuse::found().join("\n");
    if !buffer.is_null() && capacity > 0 {
        let len = lines.len().min(capacity - 1);
        // SAFETY: `len + 1 <= capacity` bytes are writable by the house rules.
        unsafe {
            buffer.copy_from_nonoverlapping(lines.as_ptr(), len);
            buffer.add(len).write(0);
        }
    }
    lines.len() + 1
}

/// Forgets the misuses found so far.
#[unsafe(no_mangle)]
extern "C" fn sim_va_clear_report() {
    misuse::clear();
}

/// How often a function was called; `*` is all functions.
#[unsafe(no_mangle)]
extern "C" fn sim_va_calls(function: *const c_char) -> u64 {
    text(function).map_or(0, site::count)
}

/// A level such as `surfaces` or `peak_surface_bytes@renderD128`; -1 for an unknown name.
#[unsafe(no_mangle)]
extern "C" fn sim_va_level(name: *const c_char) -> i64 {
    let level = text(name).and_then(exit::level);
    level.map_or(-1, |level| i64::try_from(level).unwrap_or(i64::MAX))
}
