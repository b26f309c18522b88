//! `vas completions`: a shell's completion script for `vas`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use vas_cli::stdout;

use super::Cli;
use super::failure::Failure;

/// Print the script that lets your shell complete `vas`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  vas completions bash > ~/.local/share/bash-completion/completions/vas
  vas completions zsh > ~/.zfunc/_vas
  vas completions fish > ~/.config/fish/completions/vas.fish";

pub(super) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    // Through memory: the generator panics when standard output is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vas", &mut script);
    stdout::write(&String::from_utf8_lossy(&script)).map_err(Failure::Stdout)
}
