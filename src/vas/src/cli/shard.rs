//! `vas shard`: started by `vas run` for its cameras; not for people.

use clap::Args;

use super::failure::Failure;
use crate::shard;

/// Run some of the cameras of a service, for its supervisor
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShardArgs {
    /// The shard's number, for lists of processes.
    _number: u32,
}

const EXAMPLES: &str = "\
Examples:
  vas run --config cameras.toml       starts `vas shard 0`, and more if there are GPUs for them";

pub(super) fn run(_args: &ShardArgs) -> Result<(), Failure> {
    Ok(shard::run()?)
}
