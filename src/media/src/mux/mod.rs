//! Recordings: writes packets unchanged into fragmented MP4.

mod parameter_sets;
mod sink;
mod sound_line;
mod timeline;
mod writer;

pub use parameter_sets::ParameterSets;
pub use sound_line::{Moment, SoundLine};
pub use timeline::{Placed, RawTimes, Timeline};
pub use writer::{Mp4Writer, MuxError};
