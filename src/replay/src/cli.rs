//! The command line of `vas gate`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::failure::Failure;
use crate::recording::Recording;
use crate::replay::Replay;
use crate::subscriptions::read_subscriptions;
use crate::{plot, report};

/// Apply models' subscriptions to recorded frames
#[derive(Debug, Parser)]
#[command(name = "vas-gate", bin_name = "vas gate", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Replay(ReplayArgs),
}

/// Replay a recording against subscriptions and print what each would receive
///
/// Frames pass through the stream agents of Ruth AI Core; every allowed frame counts as dispatched at
/// once. No frame is read and no export is opened.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct ReplayArgs {
    /// The recording: what `vas watch --json` printed; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    meta: PathBuf,
    /// The subscriptions (TOML).
    #[arg(long, value_name = "FILE")]
    subscriptions: PathBuf,
    /// Print JSON, one object per line.
    #[arg(long)]
    json: bool,
    /// Print a line for each frame and subscription, with the reason, before the summary.
    #[arg(long)]
    explain: bool,
    /// Draw the frames over time, a lane for each subscription in the order of the summary: dark is
    /// allowed, pale is skipped.
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  vas watch gate --json --count 900 > gate.jsonl
  vas gate replay --meta gate.jsonl --subscriptions wanted.toml
  vas gate replay --meta gate.jsonl --subscriptions wanted.toml --explain | grep stride
  vas gate replay --meta gate.jsonl --subscriptions wanted.toml --json --plot gate.png

Subscriptions:
  [[subscription]]
  camera = \"gate\"
  model = \"people\"
  max_fps = 5           # or 12.5, 29.97, \"30000/1001\"; without it, every frame
  stride = 3            # with max_fps: also skip the next two frames
  active = true

JSON keys of a subscription:
  camera model max_fps     max_fps is an exact fraction as text, or null
  seen allowed             frames
  skipped                  frames by reason
  mean_fps                 of the allowed frames, first to last; null for fewer than two
  highest_in_a_second      most frames allowed within any second of gate_ns
  highest_in_a_second_published   the same for published_ns
JSON keys of a frame, with --explain:
  camera model epoch frame_id gate_ns
  decision reason          \"allow\" or \"skip\", and why

Exit codes: 0 done; 1 the recording or the plot failed; 2 invalid usage or
subscriptions.";

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self) -> Result<(), Failure> {
        let Verb::Replay(args) = &self.verb;
        // Lines come by the thousand with --explain.
        let mut out = BufWriter::new(io::stdout().lock());
        replay(args, &mut out)?;
        Ok(out.flush()?)
    }
}

fn replay(args: &ReplayArgs, out: &mut impl Write) -> Result<(), Failure> {
    let mut replay = Replay::new(&read_subscriptions(&args.subscriptions)?);
    for frame in Recording::new(open(&args.meta)?) {
        let frame =
            frame.map_err(|source| Failure::Recording { path: args.meta.clone(), source })?;
        let mut written = Ok(());
        replay.show(&frame, |model, verdict| {
            if args.explain && written.is_ok() {
                let explained = if args.json { report::explained_json } else { report::explained };
                written = writeln!(out, "{}", explained(&frame, model, verdict));
            }
        });
        written?;
    }
    for (camera, tally) in replay.tallies() {
        if args.json {
            writeln!(out, "{}", report::json(camera, tally))?;
        } else {
            write!(out, "{}", report::Words(camera, tally))?;
        }
    }
    if replay.unwanted() > 0 && !args.json {
        writeln!(out, "{} frames of cameras without a subscription", replay.unwanted())?;
    }
    if let Some(path) = &args.plot {
        let tallies: Vec<_> = replay.tallies().map(|(_, tally)| tally).collect();
        plot::write(path, &tallies)?;
    }
    Ok(())
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file =
        File::open(path).map_err(|source| Failure::Open { path: path.to_owned(), source })?;
    Ok(Box::new(BufReader::new(file)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use vas_harness::assert_golden;

    use super::*;

    #[test]
    fn help_texts_are_the_golden_ones() {
        // Without a width it would be that of the terminal that the test runs in.
        let mut command = Cli::command().term_width(100);
        command.build();
        let gate = command.render_long_help();
        let replay = command.find_subcommand_mut("replay").unwrap().render_long_help();
        let text = format!("$ vas gate --help\n{gate}\n$ vas gate replay --help\n{replay}");
        assert_golden("src/golden/help.txt", &text);
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bad_use_is_refused() {
        for line in ["vas-gate", "vas-gate replay", "vas-gate replay --meta a", "vas-gate x"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
