//! What users read and what shells complete, compared with golden files: a help text changes only on purpose.

use clap::CommandFactory as _;
use clap_complete::Shell;
use vas_harness::assert_golden;

use super::Cli;

#[test]
fn help_texts_are_the_golden_ones() {
    // Without a width it would be that of the terminal that the test runs in.
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text = format!("$ vas --help\n{}", command.render_long_help());
    for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        assert!(!verb.has_subcommands(), "print those, too");
        let help = verb.render_long_help();
        text += &format!("\n$ vas {} --help\n{help}", verb.get_name());
    }
    assert_golden("src/cli/golden/help.txt", &text);
}

#[test]
fn completions_are_the_golden_ones() {
    for (shell, name) in
        [(Shell::Bash, "vas.bash"), (Shell::Zsh, "_vas"), (Shell::Fish, "vas.fish")]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "vas", &mut script);
        assert_golden(format!("src/cli/golden/{name}"), &String::from_utf8(script).unwrap());
    }
}
