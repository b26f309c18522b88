//! The call log: one line per call, `time_us pid thread function device stream bytes result`.

use vas_sim_common::{Output, thread_name};

use super::config::config;
use super::status::Status;

static LOG: Output = Output::new(|| config().log.clone());

/// The logged data of one call.
pub(crate) struct Line {
    pub(crate) function: &'static str,
    pub(crate) device: Option<usize>,
    /// The stream's number, 0 without one.
    pub(crate) stream: u64,
    pub(crate) bytes: u64,
    pub(crate) status: Status,
}

/// Appends it, if there is a log.
pub(crate) fn write(line: &Line) {
    LOG.line(|time| {
        let device = line.device.map_or("-".into(), |device| device.to_string());
        format!(
            "{time} {} {} {} {device} {} {} {}",
            std::process::id(),
            thread_name(),
            line.function,
            line.stream,
            line.bytes,
            line.status.name(),
        )
    });
}
