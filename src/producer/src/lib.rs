//! The producer: a camera's video as RTP to a MediaSoup PlainTransport.
//!
//! `vas-rtp` decides what is sent and when, `vas-endpoint` has the sockets. This crate has the threads and queues:
//!
//! - `copy`: one thread, a branch of the camera's input; packets go out as they came.
//! - `h264`: a sink at the decode boundary puts references to frames into a queue of four; one thread
//!   encodes them, another one sends. Neither ever holds up the decode thread: a frame that finds the
//!   queue full is dropped.
//!
//! Nothing here depends on whether frames are exported (contract V3).

#![forbid(unsafe_code)]

mod copy;
mod encoding;
mod frames;
pub mod parameters;
mod peers;
mod sending;
mod stats;

pub use copy::Copy;
pub use encoding::{Encode, EncodeStart};
pub use frames::HELD_PICTURES;
pub use parameters::identity;
pub use stats::ProducerStats;

#[cfg(test)]
mod tests;
