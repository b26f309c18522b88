//! The calling thread's state for the misuse checks.

use std::cell::Cell;

use super::config::config;
use super::misuse::{Kind, report};
use super::status::{Result, Status};

thread_local! {
    static IN_HOST_FUNCTION: Cell<bool> = const { Cell::new(false) };
}

/// Runs a host function of the program under test.
pub(crate) fn host_function(run: impl FnOnce()) {
    IN_HOST_FUNCTION.set(true);
    run();
    IN_HOST_FUNCTION.set(false);
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
    if let Some(broken) = config().forbidden.broken_by(function) {
        report(Kind::ForbiddenThread, format_args!("{broken}"));
    }
    Ok(())
}
