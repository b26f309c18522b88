//! The interface for a test in the same process: `sim_gpu_*`, for C and for `testing::Simulator`.

use std::ffi::{c_char, c_int};

use vas_sim_common::forbid_this_thread;

use super::abi::{Text, TextOut};
use super::config::config;
use super::{exit, misuse, site};

/// Changes a setting, `key=value`; 0, or -1 with the reason on standard error.
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_set(line: Text) -> c_int {
    let outcome = line.get().map_err(|_| "no text".into()).and_then(|line| config().set(line));
    match outcome {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("simulated GPU: {why}");
            -1
        }
    }
}

/// Makes any later call of this thread misuse (1), or ends that (0).
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_forbid_this_thread(forbidden: bool) {
    forbid_this_thread(forbidden);
}

/// Writes the misuses found so far, one per line, and returns the bytes needed for all.
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_report(text: TextOut, capacity: usize) -> usize {
    let lines = misuse::found().join("\n");
    text.set(&lines, capacity);
    lines.len() + 1
}

/// Forgets the misuses found so far.
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_clear_report() {
    misuse::clear();
}

/// Reports everything alive as leaks; returns the number.
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_report_leaks() -> usize {
    exit::report_leaks()
}

/// How often a function was called; `*` is all functions.
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_calls(function: Text) -> u64 {
    function.get().map_or(0, site::calls)
}

/// A level such as `contexts` or `peak_pinned_bytes`; -1 for an unknown name.
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_level(name: Text) -> i64 {
    let level = name.get().ok().and_then(exit::level);
    level.map_or(-1, |level| i64::try_from(level).unwrap_or(i64::MAX))
}

/// Identifies this library, for programs that must not mistake it for the real one.
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_is_simulated() -> *const c_char {
    c"simulated NVIDIA device of VAS's tests".as_ptr()
}
