//! A shard's report on its cameras, assembled from those of their parts.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use vas_config::{Role, Roles};
use vas_frame::CameraId;
use vas_pipeline::{Exported, InputStats};
use vas_producer::ProducerStats;
use vas_record::RecorderStats;
use vas_status::{
    CameraReport, GpuReport, InputReport, InputState, MemoryReport, ShardReport, rss_anon_bytes,
};

/// The stats of one camera's parts.
#[derive(Debug)]
pub(super) struct CameraStats {
    pub(super) id: CameraId,
    /// At least one.
    pub(super) inputs: Vec<(Roles, Arc<InputStats>)>,
    pub(super) recorder: Option<Arc<RecorderStats>>,
    pub(super) export: Option<Arc<dyn Exported>>,
    pub(super) producer: Option<Arc<ProducerStats>>,
}

/// The report of this process, shard `shard`, on itself and `cameras`; its frame path survived this
/// many `panics`.
pub(super) fn report(
    shard: u32,
    cameras: &[CameraStats],
    panics: u64,
    gpus: Vec<GpuReport>,
) -> ShardReport {
    let now = Instant::now();
    let cameras: Vec<_> = cameras.iter().map(|camera| camera.report(shard, now)).collect();
    let exports = || cameras.iter().filter_map(|camera| camera.export.as_ref());
    let memory = MemoryReport {
        rss_anon_bytes: rss_anon_bytes(),
        ring_bytes: exports().map(|export| export.ring_bytes + export.retired_bytes).sum(),
        pinned_bytes: exports().filter_map(|export| export.pinned_bytes).reduce(|a, b| a + b),
    };
    let pid = std::process::id();
    ShardReport { shard, pid, memory, frame_path_panics: panics, gpus, cameras }
}

impl CameraStats {
    /// Records why the camera has not started; it is retried.
    pub(super) fn set_waiting(&self, words: &str) {
        for (_, stats) in &self.inputs {
            stats.state.set(InputState::Waiting, words);
        }
    }

    /// Records why there is no export; returns whether the reason is new.
    pub(super) fn refuse_export(&self, words: &str) -> bool {
        self.export.as_ref().is_some_and(|export| export.refuse(words))
    }

    /// Records why the producer can't start; returns whether the reason is new.
    pub(super) fn producer_cannot_start(&self, error: &io::Error) -> bool {
        self.producer.as_ref().is_some_and(|producer| producer.cannot_start(error))
    }

    /// Records that the producer has started; returns whether it could not before.
    pub(super) fn producer_has_started(&self) -> bool {
        self.producer.as_ref().is_some_and(|producer| producer.has_started())
    }

    /// Clears the reason for a refused export.
    pub(super) fn no_longer_refuse_export(&self) {
        if let Some(export) = &self.export {
            export.no_longer_refuse();
        }
    }

    fn report(&self, shard: u32, now: Instant) -> CameraReport {
        let with = |role| self.inputs.iter().find(move |(roles, _)| roles.has(role));
        let (_, main) = with(Role::Export).unwrap_or(&self.inputs[0]);
        let input = |(roles, stats): &(Roles, Arc<InputStats>)| InputReport {
            input: roles.to_string(),
            status: stats.status(),
        };
        let recorded = || with(Role::Record).map(|(roles, _)| roles.to_string());
        CameraReport {
            id: self.id.to_string(),
            shard,
            inputs: self.inputs.iter().map(input).collect(),
            input: main.status(),
            decoder: main.decoder(),
            decoded: main.counters.decoded(),
            decode_panics: main.counters.decode_panics(),
            marked: main.counters.marked(),
            exported: main.counters.exported(),
            dropped: main.counters.drops().by_reason(),
            export: self.export.as_ref().map(|export| export.report(now)),
            recorder: self.recorder.as_ref().map(|it| it.report(recorded().unwrap_or_default())),
            producer: self.producer.as_ref().map(|producer| producer.report()),
        }
    }
}

#[cfg(test)]
mod tests;
