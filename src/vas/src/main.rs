//! VAS: cameras in, whole decoded frames in local shared memory out.

#![forbid(unsafe_code)]

mod channel;
mod cli;
mod core_files;
mod flag;
mod open_files;
mod picture;
mod shard;
mod signals;
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
