//! A camera's export report that is shared, and rendered once: while nobody reads, it stays the same for hours, and
//! the status is written each second.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::report::ExportReport;

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
