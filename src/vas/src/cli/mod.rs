//! The command line: one file a verb.

mod check;
mod completions;
mod failure;
mod frame_line;
mod gate;
#[cfg(test)]
mod golden;
mod health;
mod plan;
mod run;
mod snapshot;
mod status;
mod watch;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use vas_cli::{ProducerParametersArgs, ShardArgs, TryArgs, Verbosity, seconds};
use vas_config::{Environment, Export};
use vas_frame::{CameraId, MaxFps, OpenError, Reader};

use crate::program;

pub(crate) use failure::Failure;

/// Decodes cameras and exports the frames to local programs through shared memory.
#[derive(Debug, Parser)]
#[command(name = "vas", version = VERSION, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// How much to log.
    #[command(flatten)]
    pub(crate) verbosity: Verbosity,
    #[command(subcommand)]
    verb: Verb,
}

/// The version, and the hash of the sources that `vas` and `vas-shard` must share.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (sources ", env!("VAS_SOURCES"), ")");

const EXAMPLES: &str = "\
Examples:
  vas try rtsp://10.0.0.2/stream      test a camera and print its config
  vas check --config cameras.toml     check a config and print what it means
  vas plan --config cameras.toml      what its cameras take, and what does not fit
  AI_FRAME_EXPORT_ENABLED=true vas run --config cameras.toml
  vas watch gate                      a line for each frame of camera `gate`
  vas snapshot gate -o gate.png
  vas status                          states, reasons, rates and ages of all cameras
  vas health gate --max-age 2s        for container probes
  vas gate replay --meta gate.jsonl --subscriptions wanted.toml

Environment:
  AI_FRAME_EXPORT_ENABLED   true or 1: `vas run` exports frames; false, 0 or unset: it does not
  VAS_LOG                   what to log, such as `debug` or `ffmpeg=debug,info`

Exit codes:
  0  done
  1  failed while running
  2  invalid usage or config
  3  no such camera, no writer for its frames, or no service";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::RunArgs),
    #[command(hide = true)]
    Shard(ShardArgs),
    Check(check::CheckArgs),
    Plan(plan::PlanArgs),
    Try(TryArgs),
    Watch(watch::WatchArgs),
    Snapshot(snapshot::SnapshotArgs),
    Status(status::StatusArgs),
    Health(health::HealthArgs),
    ProducerParameters(ProducerParametersArgs),
    Gate(gate::GateArgs),
    Completions(completions::CompletionsArgs),
}

impl Cli {
    /// Runs the requested verb.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.verb {
            Verb::Run(args) => run::run(args, &self.verbosity),
            Verb::Check(args) => check::run(args),
            Verb::Plan(args) => plan::run(args),
            Verb::Watch(args) => watch::run(args),
            Verb::Snapshot(args) => snapshot::run(args),
            Verb::Status(args) => status::run(args),
            Verb::Health(args) => health::run(args),
            Verb::Gate(args) => gate::run(args),
            Verb::Completions(args) => completions::run(args),
            // These work with FFmpeg, as another program does.
            Verb::Shard(_) | Verb::Try(_) | Verb::ProducerParameters(_) => {
                Err(program::become_shard_program().into())
            }
        }
    }
}

/// A camera's export, for the verbs that read one.
#[derive(Debug, Args)]
struct ExportArgs {
    /// Id of the camera, as in the config.
    camera: CameraId,
    /// The export directory: `[export] dir` of the config.
    #[arg(long, value_name = "DIR", default_value = Export::DEFAULT_DIR)]
    dir: PathBuf,
    /// Wait up to this long for a service or camera that does not exist yet; by default, that is an
    /// error.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
}

/// How often to look for a camera that is not there yet.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl ExportArgs {
    /// Opens the camera's export for a reader that wants `max_fps`, once it exists; `None` when
    /// `stop` was set first.
    fn open(
        &self,
        max_fps: Option<MaxFps>,
        stop: &AtomicBool,
    ) -> Result<Option<Reader>, OpenError> {
        let began = Instant::now();
        let mut options = Reader::options().dir(&self.dir);
        if let Some(rate) = max_fps {
            options = options.max_rate(rate);
        }
        loop {
            let left = self.wait.and_then(|wait| wait.checked_sub(began.elapsed()));
            match options.open(&self.camera) {
                Ok(reader) => return Ok(Some(reader)),
                Err(error) if !may_come(&error) => return Err(error),
                Err(_) if stop.load(Ordering::Relaxed) => return Ok(None),
                Err(error) => match left {
                    None | Some(Duration::ZERO) => return Err(error),
                    Some(left) => std::thread::sleep(left.min(LOOK_EVERY)),
                },
            }
        }
    }
}

/// Whether an export that can't be opened may exist a moment later.
fn may_come(error: &OpenError) -> bool {
    matches!(error, OpenError::NoCamera { .. } | OpenError::NoWriter { .. })
}

/// Where the service keeps its status, for the verbs that read it.
#[derive(Debug, Args)]
struct RunDirArgs {
    /// The service's config file; only its `[service] run_dir` is used.
    #[arg(long, short, value_name = "FILE", conflicts_with = "run_dir")]
    config: Option<PathBuf>,
    /// The folder of status.json; without this and --config, the default run directory.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

impl RunDirArgs {
    fn resolve(&self) -> Result<PathBuf, Failure> {
        let environment = Environment::of_this_process();
        match (&self.run_dir, &self.config) {
            (Some(run_dir), _) => Ok(run_dir.clone()),
            (None, Some(config)) => Ok(vas_config::run_dir(config, &environment)?),
            (None, None) => environment.default_run_dir().ok_or(Failure::NoRunDir),
        }
    }
}

/// Parses a duration as in the config.
fn duration(typed: &str) -> Result<Duration, vas_config::DurationError> {
    vas_config::parse_duration(typed, Duration::from_millis(1)..=Duration::from_secs(3600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_shows_an_example_and_says_what_it_does() {
        for verb in Cli::command().get_subcommands() {
            let name = verb.get_name();
            assert!(verb.get_about().is_some(), "{name}");
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains(&format!("vas {name}")), "{name}");
        }
    }

    #[test]
    fn bad_use_is_refused() {
        for line in [
            "vas",
            "vas run",
            "vas watch",
            "vas watch ../etc",
            "vas watch gate --timeout 0",
            "vas watch gate --timeout -1",
            "vas watch gate --count 0",
            "vas watch gate --count x",
            "vas snapshot gate",
            "vas check --config a -v -q",
            "vas status --config a --run-dir b",
            "vas health gate --max-age 2",
            "vas health gate --max-age 0s",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
