//! The program: parse, dispatch, exit code.

use std::env;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use vas_channel::{CALLER, OtherBuild};
use vas_cli::{ProducerParametersArgs, ShardArgs, TryArgs, Verbosity};

use crate::failure::Failure;
use crate::{serve, verbs};

/// The part of vas that works with FFmpeg; vas runs it
#[derive(Debug, Parser)]
#[command(name = "vas-shard", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    verbosity: Verbosity,
    #[command(subcommand)]
    verb: Verb,
}

/// The commands of `vas` that need FFmpeg.
#[derive(Debug, Subcommand)]
enum Verb {
    Shard(ShardArgs),
    Try(TryArgs),
    ProducerParameters(ProducerParametersArgs),
}

/// Runs the program with the arguments of this process. `sources` identifies what it is built from, as in
/// [`vas_channel::build`].
pub fn main(sources: &str) -> ExitCode {
    let own = vas_channel::build(sources, cfg!(feature = "frame-export"));
    let same_build = vas_channel::check_caller(&own, env::var_os(CALLER).as_deref());
    let outcome = match (Cli::try_parse(), same_build) {
        // `--version` and `--help`, which a person may ask for.
        (Err(usage), _)
            if matches!(usage.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            usage.exit()
        }
        // Another build may have other arguments, so this comes before what is wrong with them.
        (Ok(Cli { verb: Verb::Shard(_), .. }), Err(other @ OtherBuild::Differs { .. })) => {
            serve::refuse(&other.to_string()).map_err(Failure::from)
        }
        (_, Err(other)) => Err(other.into()),
        (Err(usage), Ok(())) => usage.exit(),
        (Ok(cli), Ok(())) => run(&cli),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    cli.verbosity.start_logging()?;
    match &cli.verb {
        Verb::Shard(_) => Ok(serve::run()?),
        Verb::Try(args) => verbs::r#try::run(args),
        Verb::ProducerParameters(args) => verbs::producer_parameters::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
