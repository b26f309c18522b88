//! `status.json`: what the service does, written atomically once a second.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use vas_frame::CameraId;

use crate::export::ExportFacts;
use crate::flag::FrameExport;
use crate::pipeline::{DropReason, Shown};

/// What the status looks at for one camera.
#[derive(Debug)]
pub(crate) struct CameraStatus {
    id: CameraId,
    shown: Arc<Shown>,
    export: Option<Arc<ExportFacts>>,
}

/// The file; removed when this is dropped.
#[derive(Debug)]
pub(crate) struct StatusFile {
    path: PathBuf,
    export: FrameExport,
    started: Instant,
    /// What writing last failed for, so that it is told once.
    failing: Option<io::ErrorKind>,
}

impl StatusFile {
    /// Prepares `run_dir`.
    pub(crate) fn create(run_dir: &Path, export: FrameExport) -> io::Result<Self> {
        std::fs::create_dir_all(run_dir)?;
        let path = run_dir.join("status.json");
        let file = Self { path, export, started: Instant::now(), failing: None };
        file.replace(&file.document(&[]))?;
        Ok(file)
    }

    /// Writes the status. A failure is told and does not stop the service.
    pub(crate) fn write(&mut self, cameras: &[CameraStatus]) {
        match self.replace(&self.document(cameras)) {
            Ok(()) => self.failing = None,
            Err(error) if self.failing == Some(error.kind()) => {}
            Err(error) => {
                tracing::error!("can't write {}: {error}", self.path.display());
                self.failing = Some(error.kind());
            }
        }
    }

    fn replace(&self, document: &Value) -> io::Result<()> {
        let temporary = self.path.with_extension("json.new");
        std::fs::write(&temporary, format!("{document:#}\n"))?;
        std::fs::rename(&temporary, &self.path)
    }

    fn document(&self, cameras: &[CameraStatus]) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_s": self.started.elapsed().as_secs(),
            "frame_export": self.export == FrameExport::On,
            "cameras": cameras.iter().map(CameraStatus::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Drop for StatusFile {
    fn drop(&mut self) {
        // A status without a service would be a lie.
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("can't remove {}: {error}", self.path.display());
        }
    }
}

impl CameraStatus {
    pub(crate) fn new(id: CameraId, shown: Arc<Shown>, export: Option<Arc<ExportFacts>>) -> Self {
        Self { id, shown, export }
    }

    fn to_json(&self) -> Value {
        let state = self.shown.state.get();
        let counters = &self.shown.counters;
        let dropped: Map<_, _> = DropReason::ALL
            .iter()
            .map(|(why, name)| ((*name).to_owned(), counters.drops(*why).into()))
            .collect();
        json!({
            "id": self.id.as_str(),
            "state": state.state.word(),
            "reason": state.reason,
            "since_s": state.since.map(|since| since.elapsed().as_secs()),
            "stream": state.stream.map(|stream| json!({
                "codec": stream.codec,
                "width": stream.size.map(|size| size.0),
                "height": stream.size.map(|size| size.1),
                "fps": stream.fps.map(|fps| fps.as_f64()),
                "over": stream.carrier,
            })),
            "decoder": state.decoder,
            "received": counters.received(),
            "received_bytes": counters.received_bytes(),
            "decoded": counters.decoded(),
            "exported": counters.exported(),
            "dropped": dropped,
            "reconnects": counters.reconnects(),
            "export": self.export.as_ref().map(|export| {
                let facts = export.get();
                json!({
                    "state": facts.state,
                    "detail": facts.detail,
                    "slots": facts.slots,
                    "ring_bytes": facts.ring_bytes,
                    "lease_ms": facts.lease_ms,
                    "retired_bytes": facts.retired_bytes,
                    "readers": facts.readers,
                })
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole_from_the_start_and_gone_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let run_dir = dir.path().join("run");
        let mut file = StatusFile::create(&run_dir, FrameExport::Off).unwrap();
        let read = || -> Value {
            serde_json::from_slice(&std::fs::read(run_dir.join("status.json")).unwrap()).unwrap()
        };
        assert_eq!(read()["cameras"], json!([]));
        let shown = Arc::new(Shown::default());
        shown.counters.received_packet(10);
        shown.counters.dropped(DropReason::Lease);
        let id = CameraId::new("gate").unwrap();
        file.write(&[CameraStatus::new(id, shown, None)]);
        let camera = &read()["cameras"][0];
        assert_eq!(camera["id"], "gate");
        assert_eq!((&camera["received"], &camera["dropped"]["lease"]), (&json!(1), &json!(1)));
        assert_eq!(camera["export"], Value::Null);
        drop(file);
        assert_eq!(std::fs::read_dir(&run_dir).unwrap().count(), 0);
    }
}
