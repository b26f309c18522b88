//! The program `vas-shard`: all of the service that links FFmpeg.
//!
//! `vas` runs it, never a person: for each shard of a service, and in its own place for the commands that connect to
//! a camera. So the supervisor, and commands that only read files or rings, do not pay for loading FFmpeg
//! and the libraries that it brings in (docs/design/shards.md).
//!
//! A shard is a process that runs some of a service's cameras (`serve`). The supervisor sends it what to run, over a
//! socket that is its standard input at start, and gets a report on the cameras each second. It ends when asked to, and
//! when the supervisor is gone.

#![forbid(unsafe_code)]

mod assembly;
mod cameras;
mod failure;
mod program;
mod serve;
mod status;
mod test_sinks;
mod verbs;

pub use program::main;
