//! VAS: cameras in, whole decoded frames in local shared memory out.
//!
//! This program is the command line and the supervisor, and links no FFmpeg. What needs FFmpeg is the program
//! `vas-shard`, which this one runs.

#![forbid(unsafe_code)]

mod cli;
mod core_files;
mod flag;
mod open_files;
mod program;
mod supervisor;
mod test_hooks;

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
