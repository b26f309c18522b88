//! Recordings: packets into fragmented MP4, as they came.

mod parameter_sets;
mod sink;
mod timeline;
mod writer;

pub use parameter_sets::ParameterSets;
pub use timeline::{Placed, RawTimes, Timeline};
pub use writer::{Mp4Writer, MuxError};
