//! The status of the service: the types of `status.json` and `vas.prom`, the files themselves, and
//! health checks.
//!
//! All parts of the service depend on these types: each part fills its own ([`ExportReport`],
//! [`RecorderReport`], ...), a process with cameras sends a [`ShardReport`], and [`StatusFiles`]
//! merges the reports of all shards and writes them once a second. `vas status` and `vas health`
//! read them back ([`read`], [`judge`]). docs/ref/status.md explains each key.

#![forbid(unsafe_code)]

mod age_window;
mod ages;
mod drops;
mod export_report;
mod file;
mod freshness;
mod health;
mod memory;
mod merge;
mod process;
mod prometheus;
mod report;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod state;

pub use age_window::AgeWindow;
pub use ages::{AgeCounts, Ages};
pub use drops::{DropCounters, DropReason, NotProduced, NotRecorded, Reason};
pub use export_report::{DemandReport, DownloadReport, ExportReport, SharedExport};
pub use file::StatusFiles;
pub use freshness::{NoStatus, Stale, StatusRead, read};
pub use health::{Unhealthy, judge};
pub use memory::rss_anon_bytes;
pub use process::ProcessId;
pub use report::{
    CameraReport, DecoderReport, DecodesReport, GpuReport, InputReport, InputStatus, MemoryReport,
    ProducerReport, ReaderMinute, ReaderStatus, ReadersReport, RecorderReport, Service,
    ServiceStatus, ShardHealth, ShardReport, ShardStatus, StreamReport,
};
pub use state::{
    DecodedBy, DownloadEngine, ExportState, InputState, LossDetection, PolledReason, ProducerState,
    RecorderState, ShardState,
};

#[cfg(test)]
mod document;
