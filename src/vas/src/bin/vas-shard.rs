//! The program `vas-shard`, which `vas` runs for what needs FFmpeg: see the crate `vas-shard`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vas_shard::main(env!("VAS_SOURCES"))
}
