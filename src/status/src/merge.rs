//! Merges the reports of shards into the status of the service.

use super::report::{
    ReadersReport, SCHEMA, Service, ServiceStatus, ShardHealth, ShardReport, ShardStatus,
};

impl ServiceStatus {
    /// The combined status of `shards`, `uptime_s` after the start of the service. A shard whose
    /// process is gone keeps its last report.
    pub fn merge(
        service: Service,
        uptime_s: u64,
        shards: Vec<(ShardHealth, ShardReport)>,
        readers: ReadersReport,
    ) -> Self {
        let status = |(health, report): &(ShardHealth, ShardReport)| ShardStatus {
            shard: report.shard,
            health: health.clone(),
            memory: report.memory,
            frame_path_panics: report.frame_path_panics,
            gpus: report.gpus.clone(),
            cameras: report.cameras.len(),
        };
        Self {
            schema: SCHEMA,
            service,
            written_ns: vas_frame::monotonic_ns(),
            uptime_s,
            shards: shards.iter().map(status).collect(),
            cameras: shards.into_iter().flat_map(|(_, report)| report.cameras).collect(),
            readers,
        }
    }
}
