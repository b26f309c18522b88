//! The readers that state what they do, for the status.

use std::path::Path;

use vas_frame::monotonic_ns;
use vas_frame::telemetry::{ReaderReport, Scan, Scanner};
use vas_status::{ReaderMinute, ReaderStatus, ReadersReport};

/// Looks through the readers directory once a second. Nothing in it has an effect but on the status.
#[derive(Debug)]
pub(super) struct Readers {
    scanner: Scanner,
    /// The last failure, so that each is logged once.
    failing: Option<std::io::ErrorKind>,
}

impl Readers {
    pub(super) fn new(dir: &Path) -> Self {
        Self { scanner: Scanner::new(dir), failing: None }
    }

    /// The live readers, by camera and process.
    pub(super) fn report(&mut self) -> ReadersReport {
        match self.scanner.scan() {
            Ok(scan) => {
                self.failing = None;
                report(scan, monotonic_ns())
            }
            Err(error) => {
                if self.failing.replace(error.kind()) != Some(error.kind()) {
                    let dir = self.scanner.path().display();
                    tracing::warn!(
                        "can't look for readers in {dir}: {error}; the status lists none"
                    );
                }
                ReadersReport::default()
            }
        }
    }
}

fn report(scan: Scan, now_ns: u64) -> ReadersReport {
    let mut readers: Vec<_> =
        scan.readers.into_iter().map(|(uid, report)| status(uid, report, now_ns)).collect();
    readers.sort_by(|a, b| (&a.camera, a.pid, &a.name).cmp(&(&b.camera, b.pid, &b.name)));
    ReadersReport { readers, readers_left_out: scan.left_out }
}

fn status(user_id: u32, report: ReaderReport, now_ns: u64) -> ReaderStatus {
    let seconds_since = |then_ns: u64| now_ns.saturating_sub(then_ns) / 1_000_000_000;
    let ReaderReport { recent, .. } = report;
    ReaderStatus {
        camera: report.camera.to_string(),
        name: report.name,
        program: report.program,
        pid: report.pid,
        user_id,
        max_fps: report.max_fps.map(|rate| f64::from(rate.millihertz()) / 1e3),
        opened_s: seconds_since(report.opened_ns),
        idle_s: report.last_taken_ns.map(seconds_since),
        taken: report.taken,
        missed: report.missed,
        overwritten: report.overwritten,
        last_minute: ReaderMinute {
            taken: recent.taken,
            missed: recent.missed,
            overwritten: recent.overwritten,
            age_p50_ms: recent.p50_ms,
            age_p99_ms: recent.p99_ms,
        },
    }
}
