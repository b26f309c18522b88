//! VAS: cameras in, whole decoded frames in local shared memory out.

#![cfg_attr(not(feature = "frame-export"), allow(dead_code, reason = "the tap alone uses it"))]

mod channel;
mod cli;
mod config;
mod core_files;
#[cfg_attr(not(feature = "frame-export"), path = "no_export.rs")]
mod export;
mod flag;
mod gpus;
mod open_files;
mod picture;
mod pipeline;
mod producer;
mod record;
mod service;
mod shard;
mod status;
mod supervisor;
mod trial;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let outcome =
        cli.verbosity.start_logging().map_err(cli::Failure::from).and_then(|()| cli.run());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
