//! The call log: one line per call, `time_us pid thread function device stream bytes result`.

use std::fs::File;
use std::io::Write as _;
use std::sync::LazyLock;
use std::time::Instant;

use super::config::config;
use super::status::Status;
use super::thread;

static LOG: LazyLock<Option<(File, Instant)>> = LazyLock::new(|| {
    let path = config().log.as_ref()?;
    let open = File::options().create(true).append(true).open(path);
    let file = open.unwrap_or_else(|error| panic!("SIM_GPU_LOG {}: {error}", path.display()));
    Some((file, Instant::now()))
});

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
    let Some((mut file, start)) = LOG.as_ref().map(|(file, start)| (file, start)) else {
        return;
    };
    let time = start.elapsed().as_micros();
    let device = line.device.map_or("-".into(), |device| device.to_string());
    let text = format!(
        "{time} {} {} {} {device} {} {} {}\n",
        std::process::id(),
        thread::name(),
        line.function,
        line.stream,
        line.bytes,
        line.status.name(),
    );
    if let Err(error) = file.write_all(text.as_bytes()) {
        eprintln!("simulated GPU: the log can't be written: {error}");
    }
}
