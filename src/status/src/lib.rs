//! `status.json` and `vas.prom`: what the service does, written atomically once a second.
//!
//! [`report`](report()) asks the cameras of a process, [`StatusFiles`] merges the reports of all and writes.

mod age;
mod collect;
mod file;
mod freshness;
mod health;
mod memory;
mod merge;
mod process;
mod prometheus;
mod report;

pub(crate) use collect::{CameraStatus, InputStatus, report};
pub(crate) use file::StatusFiles;
pub(crate) use freshness::{NoStatus, Stale, StatusRead, read};
pub(crate) use health::{Unhealthy, judge};
pub(crate) use report::{
    CameraReport, DecoderReport, ExportReport, InputFacts, SET_APART, ServiceStatus, ShardHealth,
    ShardReport, ShardState,
};

#[cfg(test)]
mod document;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
