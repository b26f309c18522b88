//! A shard's report on its way: of its exports only those that have changed, since most have nothing to report.

use serde::{Deserialize, Serialize};
use vas_status::{ExportReport, ShardReport, SharedExport};

/// A report whose exports are left out, and those that have changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct PackedReport {
    report: ShardReport,
    /// In the order of the cameras.
    exports: Vec<PackedExport>,
}

#[derive(Debug, Serialize, Deserialize)]
enum PackedExport {
    None,
    /// As in the last report.
    Same,
    New(Box<ExportReport>),
}

/// The exports of the last report, by the order of its cameras. Each end of a channel has one, and each report passes
/// both.
#[derive(Debug, Default)]
pub struct LastExports(Vec<(String, Option<SharedExport>)>);

impl LastExports {
    /// The shard's end.
    pub fn pack(&mut self, mut report: ShardReport) -> PackedReport {
        self.0.resize(report.cameras.len(), Default::default());
        let exports = report.cameras.iter_mut().zip(&mut self.0).map(|(camera, (id, last))| {
            let export = camera.export.take();
            let same = *id == camera.id
                && last.as_ref().zip(export.as_ref()).is_some_and(|(last, export)| last.is(export));
            if same {
                return PackedExport::Same;
            }
            camera.id.clone_into(id);
            last.clone_from(&export);
            export
                .map_or(PackedExport::None, |export| PackedExport::New(Box::new((*export).clone())))
        });
        let exports = exports.collect();
        PackedReport { report, exports }
    }

    /// The supervisor's end.
    pub fn unpack(&mut self, packed: PackedReport) -> ShardReport {
        let PackedReport { mut report, exports } = packed;
        self.0.resize(report.cameras.len(), Default::default());
        for ((camera, (id, last)), export) in
            report.cameras.iter_mut().zip(&mut self.0).zip(exports)
        {
            match export {
                PackedExport::None => *last = None,
                PackedExport::New(export) => *last = Some((*export).into()),
                PackedExport::Same => debug_assert_eq!(*id, camera.id, "the shard compared them"),
            }
            if *id != camera.id {
                camera.id.clone_into(id);
            }
            camera.export.clone_from(last);
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use vas_status::CameraReport;

    use super::*;

    fn camera(id: &str, export: Option<&SharedExport>) -> CameraReport {
        CameraReport { id: id.into(), export: export.cloned(), ..CameraReport::default() }
    }

    #[test]
    fn a_report_is_the_same_at_the_other_end_and_unchanged_exports_are_not_sent() {
        let export = |slots| SharedExport::from(ExportReport { slots, ..ExportReport::default() });
        let (a, b, c) = (export(1), export(2), export(3));
        let (mut sent, mut received) = (LastExports::default(), LastExports::default());
        for (cameras, new) in [
            (vec![camera("a", Some(&a)), camera("b", Some(&b))], 2),
            (vec![camera("a", Some(&a)), camera("b", Some(&b))], 0),
            (vec![camera("a", Some(&c)), camera("b", Some(&b))], 1),
            // One has left, so that the other has another place; one is not exported.
            (vec![camera("b", Some(&b)), camera("d", None)], 1),
            (vec![camera("b", Some(&b)), camera("d", Some(&a))], 1),
            (vec![camera("b", Some(&b)), camera("d", Some(&a)), camera("e", None)], 0),
        ] {
            let report = ShardReport { cameras, ..ShardReport::default() };
            let packed = sent.pack(report.clone());
            let is_new = |export: &&PackedExport| matches!(export, PackedExport::New(_));
            assert_eq!(packed.exports.iter().filter(is_new).count(), new);
            let text = serde_json::to_string(&packed).unwrap();
            assert_eq!(received.unpack(serde_json::from_str(&text).unwrap()), report);
        }
    }
}
