//! Tries the service's promises on a host's NVIDIA GPU and measures what the GPU does for it: `scripts/gpu-check`.
//!
//! A report as JSON and as Markdown says what held. On the simulated device of `tests/sim-gpu` it runs only with
//! `--simulated`, and each line of the report is marked.
//!
//! Exit codes: 0 everything that ran holds, 1 something does not, 2 wrong use, 3 no driver, or not the kind that was
//! asked for.

mod clips;
mod device;
mod kernels;
mod load;
mod pixels;
mod report;
mod sanitizer;
mod service;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};

use crate::load::Load;
use crate::report::{Check, Findings, Outcome, Report};
use crate::service::Programs;

/// No check begins later. With the default options, none of the later ones takes more than three minutes.
const LAST_BEGIN: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Parser)]
#[command(version, about = "Checks what a host's NVIDIA GPU does for VAS")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the clips; needs an ffmpeg with libx264 and libx265
    Clips {
        /// The folder for them
        dir: PathBuf,
    },
    /// Run all checks
    Run(Run),
}

// The script passes defaults first.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct Run {
    /// The program `vas`, with `vas-shard` beside it
    #[arg(long)]
    vas: PathBuf,
    /// An ffmpeg with NVDEC
    #[arg(long)]
    ffmpeg: PathBuf,
    /// The folder of the clips
    #[arg(long)]
    clips: PathBuf,
    /// The folder for the report
    #[arg(long)]
    out: PathBuf,
    /// The GPU's number
    #[arg(long, default_value_t = 0)]
    gpu: u32,
    /// Cameras of the load, 1080p25 H.264
    #[arg(long, default_value_t = 32)]
    cameras: u32,
    /// Seconds for which the load is measured
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Run on the simulated device of tests/sim-gpu
    #[arg(long)]
    simulated: bool,
}

/// Why a check, or all of it, fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing to check.
    #[error("no NVIDIA driver: libcuda.so.1 cannot be loaded")]
    NoDriver,
    /// The driver is of the other kind.
    #[error("{0}")]
    OtherDevice(&'static str),
    /// A program that cannot be run.
    #[error("{0}")]
    Program(String),
    /// A promise that does not hold.
    #[error("{0}")]
    Wrong(String),
}

impl Failure {
    pub(crate) fn file(path: &Path, error: std::io::Error) -> Self {
        Self::Program(format!("{}: {error}", path.display()))
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::NoDriver | Self::OtherDevice(_) => 3,
            Self::Program(_) => 2,
            Self::Wrong(_) => 1,
        }
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Clips { dir } => make_clips(&dir).map(|()| ExitCode::SUCCESS),
        Verb::Run(run) => run.run(),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("gpu-check: {failure}");
        failure.exit_code().into()
    })
}

fn make_clips(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(|error| Failure::file(dir, error))?;
    clips::CASES
        .iter()
        .map(|case| case.clip)
        .chain([clips::LOAD])
        .try_for_each(|clip| clip.make(dir))
}

impl Run {
    fn run(&self) -> Result<ExitCode, Failure> {
        let simulated = device::is_simulated()?;
        match (simulated, self.simulated) {
            (true, false) => {
                return Err(Failure::OtherDevice(
                    "this is the simulated device of tests/sim-gpu, whose figures mean nothing; --simulated runs anyway",
                ));
            }
            (false, true) => {
                return Err(Failure::OtherDevice("--simulated, but the driver is a real one"));
            }
            _ => {}
        }
        let programs = Programs {
            vas: self.vas.clone(),
            ffmpeg: self.ffmpeg.clone(),
            clips: self.clips.clone(),
        };
        let vas = clips::output(Command::new(&self.vas).arg("--version"))?;
        let mut host = device::facts(self.gpu)?;
        host.extend(device::host());
        let vas = String::from_utf8_lossy(&vas).trim().to_owned();
        let mut checks = Checks { began: Instant::now(), done: Vec::new() };
        let mut peak = None;
        checks.run("pinned copies", |findings| {
            peak = Some(device::pinned_peak(self.gpu, findings)?);
            Ok(())
        });
        checks.run("kernels equal their reference", |findings| kernels::check(self.gpu, findings));
        checks.run("pictures equal FFmpeg's own, byte for byte", |findings| {
            pixels::check(&programs, self.gpu, findings)
        });
        let load = Load { cameras: self.cameras, measured: Duration::from_secs(self.seconds) };
        checks.run("cameras at their pace", |findings| {
            load.check(&programs, self.gpu, peak, findings)
        });
        let name = "no misuse of the driver";
        match sanitizer::find() {
            Some(program) => checks
                .run(name, |findings| sanitizer::check(&program, &programs, self.gpu, findings)),
            None => checks.skip(name, "this host has no compute-sanitizer"),
        }
        let report = Report { simulated, vas, host, checks: checks.done };
        report.write(&self.out).map_err(|error| Failure::file(&self.out, error))?;
        eprintln!("gpu-check: the report is in {}", self.out.display());
        Ok(if report.has_failed() { 1.into() } else { ExitCode::SUCCESS })
    }
}

/// The checks so far.
struct Checks {
    began: Instant,
    done: Vec<Check>,
}

impl Checks {
    fn run(
        &mut self,
        name: &'static str,
        check: impl FnOnce(&mut Findings) -> Result<(), Failure>,
    ) {
        if self.began.elapsed() > LAST_BEGIN {
            self.skip(name, "the time was up");
            return;
        }
        let (mut findings, since) = (Findings::default(), Instant::now());
        let outcome = match check(&mut findings) {
            Ok(()) => Outcome::Passed,
            Err(failure) => {
                findings.note(failure.to_string());
                Outcome::Failed
            }
        };
        self.add(name, outcome, since.elapsed(), findings);
    }

    fn skip(&mut self, name: &'static str, why: &str) {
        let mut findings = Findings::default();
        findings.note(why);
        self.add(name, Outcome::NotRun, Duration::ZERO, findings);
    }

    fn add(&mut self, name: &'static str, outcome: Outcome, took: Duration, findings: Findings) {
        eprintln!("gpu-check: {name}: {} ({:.1} s)", outcome.words(), took.as_secs_f64());
        let Findings { notes, figures } = findings;
        notes.iter().for_each(|note| eprintln!("    {note}"));
        for figure in &figures {
            eprintln!("    {}: {:.3} {}", figure.name, figure.value, figure.unit);
        }
        self.done.push(Check { name, outcome, took_s: took.as_secs_f64(), notes, figures });
    }
}
