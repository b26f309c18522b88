//! What the programs `vas` and `vas-shard` have in common on the command line.
//!
//! `vas` parses every command, so that its help and its completions are whole, and runs `vas-shard` in its place for
//! those that need FFmpeg, with the same arguments. `vas-shard` parses them again with the types of this crate.

#![forbid(unsafe_code)]

mod args;
mod exit;
mod logging;
pub mod stdout;

pub use args::{ConfigArgs, ProducerParametersArgs, ShardArgs, TryArgs, seconds};
pub use exit::Exit;
pub use logging::{FilterError, Verbosity};
