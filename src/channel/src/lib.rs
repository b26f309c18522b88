//! What a supervisor and its shards send to each other: messages with open files, and signals.
//!
//! The two are different programs, `vas` and `vas-shard`, of which only the second links FFmpeg. This crate is
//! everything internal that the two programs share, with the check that both come from the same build.

#![forbid(unsafe_code)]

mod build;
mod channel;
mod message;
mod packed;
mod signals;
mod test_hooks;

pub use build::{CALLER, OtherBuild, build, check_caller};
pub use channel::{Channel, ChannelError};
pub use message::{FromShard, Given, Start, ToShard};
pub use packed::{LastExports, PackedReport};
pub use signals::{Came, ORPHANED, Signals};
pub use test_hooks::TestHooks;
