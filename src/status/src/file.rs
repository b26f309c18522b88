//! The files in `run_dir`, replaced atomically and removed at the end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::process::ProcessId;
use super::prometheus;
use super::report::{ReadersReport, Service, ServiceStatus, ShardHealth, ShardReport};

/// Names of the files in `run_dir`.
pub(crate) const STATUS: &str = "status.json";
const PROMETHEUS: &str = "vas.prom";

/// The files; removed when this is dropped.
#[derive(Debug)]
pub struct StatusFiles {
    json: PathBuf,
    prometheus: PathBuf,
    service: Service,
    started: Instant,
    /// Why writing last failed, so that each failure is logged once.
    failing: Option<io::ErrorKind>,
}

impl StatusFiles {
    /// Prepares `run_dir`; `frame_export` says whether `AI_FRAME_EXPORT_ENABLED` is true.
    ///
    /// # Errors
    /// It can't be created or written to.
    pub fn create(run_dir: &Path, frame_export: bool) -> io::Result<Self> {
        std::fs::create_dir_all(run_dir)?;
        let service = Service {
            version: env!("CARGO_PKG_VERSION").into(),
            process: ProcessId::own(),
            frame_export,
        };
        let (json, prometheus) = (run_dir.join(STATUS), run_dir.join(PROMETHEUS));
        let files = Self { json, prometheus, service, started: Instant::now(), failing: None };
        files.replace(Vec::new(), ReadersReport::default())?;
        Ok(files)
    }

    /// Writes the status. A failure is logged and does not stop the service.
    pub fn write(&mut self, shards: Vec<(ShardHealth, ShardReport)>, readers: ReadersReport) {
        match self.replace(shards, readers) {
            Ok(()) => self.failing = None,
            Err(error) if self.failing == Some(error.kind()) => {}
            Err(error) => {
                let dir = self.json.parent().unwrap_or(&self.json);
                tracing::error!("can't write the status in {}: {error}", dir.display());
                self.failing = Some(error.kind());
            }
        }
    }

    fn replace(
        &self,
        shards: Vec<(ShardHealth, ShardReport)>,
        readers: ReadersReport,
    ) -> io::Result<()> {
        let uptime_s = self.started.elapsed().as_secs();
        let status = ServiceStatus::merge(self.service.clone(), uptime_s, shards, readers);
        replace(&self.json, &(serde_json::to_string_pretty(&status)? + "\n"))?;
        replace(&self.prometheus, &prometheus::render(&status))
    }
}

/// Replaces the file atomically: a reader finds the old or the new contents, complete.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // The name must not end in `.prom`: node_exporter reads every such file.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}

impl Drop for StatusFiles {
    fn drop(&mut self) {
        // A status must not outlive its service.
        for path in [&self.json, &self.prometheus] {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::warn!("can't remove {}: {error}", path.display());
            }
        }
    }
}
