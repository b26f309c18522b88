//! `vas gate`, which `vas` runs in its own place.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use vas_replay::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
