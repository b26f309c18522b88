//! Recording: an input's packets, as they came, into files that play.
//!
//! A recorder is a branch of an input: it knows packets, and neither decoder nor tap. Each camera
//! has a folder of its own below `[record] dir`, held by a lock, with a file for each segment,
//! named by its start. Files are read, written, named and deleted on the threads of recorders and
//! housekeeper, which may wait for a disk as long as it takes; what waits for them meanwhile is
//! bounded.

#![forbid(unsafe_code)]

mod camera_dir;
mod error;
mod housekeeping;
mod index;
mod library;
mod mend;
mod name;
mod neighbors;
mod recorder;
mod retention;
mod stats;

pub use library::Library;
pub use recorder::Recorder;
pub use stats::RecorderStats;

#[cfg(test)]
mod tests;
