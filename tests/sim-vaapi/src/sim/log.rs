//! The call log: one line per call, `time_us pid tid thread function node bytes result`.

use vas_sim_common::{Output, thread_name};

use super::config::config;
use super::status::Status;

static LOG: Output = Output::new(|| config().log.clone());

/// Appends a call, if there is a log.
pub(crate) fn write(function: &str, node: Option<&str>, bytes: u64, status: Status) {
    LOG.line(|time| {
        // SAFETY: gettid has no preconditions.
        let thread = unsafe { libc::gettid() };
        format!(
            "{time} {} {thread} {} {function} {} {bytes} {}",
            std::process::id(),
            thread_name(),
            node.unwrap_or("-"),
            status.name(),
        )
    });
}
