//! `status.json` and `vas.prom`: what the service does, written atomically once a second.
//!
//! [`report`](report()) asks the cameras of a process, [`StatusFiles`] merges the reports of all and writes.

mod age;
mod collect;
mod file;
mod memory;
mod merge;
mod process;
mod prometheus;
mod report;

pub(crate) use collect::{CameraStatus, InputStatus, report};
pub(crate) use file::StatusFiles;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
