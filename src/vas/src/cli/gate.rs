//! `vas gate`: a separate program, run in our place.
//!
//! It replays recordings to Ruth AI Core, of which this program contains nothing
//! (docs/design/gate.md).

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use super::failure::Failure;

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
    let program = program(env::current_exe().ok().as_deref());
    // Returns only if the program can't be run.
    let source = Command::new(&program).args(&args.arguments).exec();
    Err(Failure::NoProgram { program, source })
}

/// The program beside this one; if this program's path is unknown or there is none, only its name,
/// to be found in PATH.
fn program(own: Option<&Path>) -> PathBuf {
    let beside = own.map(|own| own.with_file_name(PROGRAM));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PROGRAM.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_beside_us_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("vas");
        assert_eq!(program(Some(&own)), PathBuf::from("vas-gate"));
        std::fs::write(folder.path().join("vas-gate"), "").unwrap();
        assert_eq!(program(Some(&own)), folder.path().join("vas-gate"));
        assert_eq!(program(None), PathBuf::from("vas-gate"));
    }
}
