//! The calling thread's state for the misuse checks.

use std::cell::Cell;

use super::config::config;
use super::misuse::{Kind, report};
use super::status::{Result, Status};

thread_local! {
    static IN_HOST_FUNCTION: Cell<bool> = const { Cell::new(false) };
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

/// Runs a host function of the program under test.
pub(crate) fn host_function(run: impl FnOnce()) {
    IN_HOST_FUNCTION.set(true);
    run();
    IN_HOST_FUNCTION.set(false);
}

/// Makes later calls of this thread misuse, or ends that.
pub(crate) fn forbid(forbidden: bool) {
    FORBIDDEN.set(forbidden);
}

/// Checks whether this thread may make this call now.
///
/// # Errors
/// `CUDA_ERROR_NOT_PERMITTED` within a host function, as in the driver's documents. A call on a
/// forbidden thread is only reported: the real driver knows no such thread.
pub(crate) fn check(function: &'static str) -> Result {
    if IN_HOST_FUNCTION.get() {
        report(Kind::HostFunctionCall, format_args!("{function} within a host function"));
        return Err(Status::NOT_PERMITTED);
    }
    if FORBIDDEN.get() {
        report(Kind::ForbiddenThread, format_args!("{function} on thread {}", name()));
    } else if let Some(rule) = config().forbidden(function, name) {
        report(Kind::ForbiddenThread, format_args!("{function} on thread {} ({rule})", name()));
    }
    Ok(())
}

/// The kernel's name of the calling thread, which covers FFmpeg's threads too.
pub(crate) fn name() -> String {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, the last a zero.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..len]).replace(char::is_whitespace, "_")
}
