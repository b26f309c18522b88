//! What the status says of a GPU.

use std::sync::Arc;

use vas_media::{CudaDevice, Format, GpuLedger, Limits, NvdecCaps};
use vas_status::{DecodesReport, GpuReport};

use super::load::Load;

/// A GPU that was opened, as far as it stays the same, and the ledger of its memory.
#[derive(Debug)]
pub(super) struct Opened {
    report: GpuReport,
    /// Whether rates are published for it.
    has_rates: bool,
    ledger: Arc<GpuLedger>,
}

impl Opened {
    pub(super) fn new(device: &CudaDevice) -> Self {
        let nvdec = device.nvdec();
        let report = GpuReport {
            gpu: device.ordinal().to_string(),
            name: device.name().to_owned(),
            engines: nvdec.and_then(NvdecCaps::engines),
            decodes: nvdec.map(|nvdec| nvdec.decoded().map(decodes).collect()),
            ..GpuReport::default()
        };
        let has_rates = Load::is_known(device.name(), nvdec);
        Self { report, has_rates, ledger: Arc::clone(device.ledger()) }
    }

    /// Whether it is of this device, and not of one that was lost or closed since.
    pub(super) fn is_of(&self, device: &CudaDevice) -> bool {
        Arc::ptr_eq(&self.ledger, device.ledger())
    }

    pub(super) fn report(&self, cameras: u32, busy: f64) -> GpuReport {
        let usage = self.ledger.usage();
        GpuReport {
            cameras,
            memory_bytes: usage.total_bytes,
            free_bytes: usage.free_bytes,
            surfaces_bytes: usage.surfaces_bytes,
            engines_busy: self.has_rates.then_some(busy),
            ..self.report.clone()
        }
    }
}

fn decodes((format, limits): (Format, Limits)) -> DecodesReport {
    DecodesReport {
        codec: format.codec.to_string(),
        chroma: format.chroma.to_string(),
        bits: format.bits,
        min_width: limits.min.0,
        min_height: limits.min.1,
        max_width: limits.max.0,
        max_height: limits.max.1,
        max_macroblocks: limits.max_macroblocks,
        engines: limits.engines,
    }
}
