//! Recording: an input's packets, as they came, into files that play.
//!
//! A recorder is a branch of an input: it knows packets, and neither decoder nor tap. Each camera has a folder
//! of its own below `[record] dir`, held by a lock, and in it a file a segment, named by when it began. Files
//! are read, written, named and deleted on the recorders' own threads and the housekeeper's, which may wait for
//! a disk as long as it takes; what waits for them meanwhile is bounded.

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
