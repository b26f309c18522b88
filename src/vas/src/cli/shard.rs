//! `vas shard`: started by `vas run` for its cameras; not for people.

use clap::Args;

use super::failure::Failure;
use crate::shard;

/// Run some of the cameras of a service, for its supervisor
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShardArgs {
    /// The shard's number, which identifies it in process lists.
    _number: u32,
}

const EXAMPLES: &str = "\
Examples:
  vas run --config cameras.toml       starts `vas shard 0`, and one more for each further GPU";

pub(super) fn run(_args: &ShardArgs) -> Result<(), Failure> {
    Ok(shard::run()?)
}
