//! `vas gate`: a separate program, run in our place.
//!
//! It replays recordings to Ruth AI Core, of which this program contains nothing
//! (docs/design/gate.md).

use std::ffi::OsString;

use clap::Args;

use super::failure::Failure;
use crate::program;

/// Replay recorded frames against models' subscriptions and print what each would receive
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct GateArgs {
    /// The subcommand and its arguments: see `vas gate --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  vas gate --help
  vas gate replay --meta gate.jsonl --subscriptions wanted.toml";

/// The program. It is installed beside `vas`.
const PROGRAM: &str = "vas-gate";

pub(super) fn run(args: &GateArgs) -> Result<(), Failure> {
    let (program, source) = program::become_program(PROGRAM, &args.arguments);
    Err(Failure::NoProgram { program, source })
}
