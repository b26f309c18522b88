//! Recording: an input's packets, as they came, into files that play.
//!
//! A recorder is a branch of an input: it knows packets, and neither decoder nor tap. Each camera has a folder
//! of its own below `[record] dir`, held by a lock, and in it a file a segment, named by when it began. Files
//! are read, written, named and deleted on the recorders' own threads and the housekeeper's, which may wait for
//! a disk as long as it takes; what waits for them meanwhile is bounded.

mod error;
mod facts;
mod home;
mod library;
mod mend;
mod name;
mod neighbours;
mod recorder;
mod retention;
mod shelf;

pub(crate) use facts::RecordFacts;
pub(crate) use library::Library;

#[cfg(test)]
mod tests;

/// `CLOCK_MONOTONIC`, signed: what began before the machine did lies below zero.
fn now_ns() -> i64 {
    i64::try_from(vas_media::monotonic_ns()).unwrap_or(i64::MAX)
}
