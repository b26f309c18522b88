//! A camera's export in the status. Its report is shared and rendered once: while nobody reads, it stays the same for
//! hours, and the status is written each second.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::state::{DownloadEngine, ExportState, PolledReason};

/// A camera's export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExportReport {
    /// Whether frames can be published.
    pub state: ExportState,
    /// Why it is refused.
    pub detail: String,
    /// Slots of the ring; 0 without one.
    pub slots: u32,
    /// Bytes of the ring that is open.
    pub ring_bytes: u64,
    /// How many of them huge pages back.
    pub huge_bytes: u64,
    /// How long a frame is leased to readers, in milliseconds.
    pub lease_ms: u64,
    /// Bytes of retired rings that wait to be freed.
    pub retired_bytes: u64,
    /// Bytes of the ring that are pinned for a GPU; `None` when no GPU writes into it.
    pub pinned_bytes: Option<u64>,
    /// Whether a reader is attached.
    pub readers: bool,
    /// Why readers are polled for; `None`: the system notifies the service of them.
    pub polled: Option<PolledReason>,
    /// What readers request.
    pub demand: DemandReport,
    /// How old frames were when they were published.
    pub age: AgeReport,
    /// How frames get into the ring.
    pub download: Option<DownloadReport>,
}

/// What readers request. Readers of the same rate are counted as one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DemandReport {
    /// Whether a reader wants every frame.
    pub every_frame: bool,
    /// The rates that readers request, ascending; empty when one wants every frame.
    pub max_fps: Vec<f64>,
}

/// Ages of frames at their publication, from the arrival of their first packet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgeReport {
    /// For frames of the last minute; `None` without any.
    pub p50_ms: Option<f64>,
    /// The same for 99 of 100 frames.
    pub p99_ms: Option<f64>,
    /// The sum over all frames since the camera started, as in a Prometheus histogram.
    pub sum_s: f64,
    /// Frames no older than 1, 2, 4, ... 65,536 ms, and all.
    pub buckets: Vec<u64>,
}

/// How frames get into the ring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DownloadReport {
    /// What copies frames.
    pub engine: DownloadEngine,
    /// Longest time from a frame's decode to its publication, since the last report.
    pub longest_ms: Option<f64>,
    /// Why it is not a better one, or what is missing.
    pub why: Option<String>,
}

/// The report, and what was rendered of it.
#[derive(Clone, Debug)]
pub struct SharedExport(Arc<Rendered>);

#[derive(Debug)]
struct Rendered {
    report: ExportReport,
    json: OnceLock<Option<Box<RawValue>>>,
    samples: OnceLock<(String, Vec<String>)>,
}

impl SharedExport {
    /// Whether this is the same report, and not just an equal one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The report's part of `vas.prom` for `camera`, by families: what `render` made of it the first time.
    pub(crate) fn samples(
        &self,
        camera: &str,
        render: impl FnOnce(&str, &ExportReport) -> Vec<String>,
    ) -> &[String] {
        let made = || (camera.to_owned(), render(camera, &self.0.report));
        let (of, samples) = self.0.samples.get_or_init(made);
        debug_assert_eq!(of, camera, "a report is that of one camera");
        samples
    }

    /// As it stands in `status.json`.
    fn json(&self) -> Option<&RawValue> {
        let render = || {
            let text = serde_json::to_string_pretty(&self.0.report).ok()?;
            // Three levels deep: in a camera, in the list, in the document.
            RawValue::from_string(text.replace('\n', "\n      ")).ok()
        };
        self.0.json.get_or_init(render).as_deref()
    }
}

impl From<ExportReport> for SharedExport {
    fn from(report: ExportReport) -> Self {
        Self(Arc::new(Rendered { report, json: OnceLock::new(), samples: OnceLock::new() }))
    }
}

impl Deref for SharedExport {
    type Target = ExportReport;

    fn deref(&self) -> &ExportReport {
        &self.0.report
    }
}

impl PartialEq for SharedExport {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.0.report == other.0.report
    }
}

impl Serialize for SharedExport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.json() {
            Some(json) => json.serialize(serializer),
            None => self.0.report.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SharedExport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ExportReport::deserialize(deserializer).map(Self::from)
    }
}
