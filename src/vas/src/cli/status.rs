//! `vas status`: the state of the service and its cameras.

mod table;

use std::thread;
use std::time::Duration;

use clap::Args;
use vas_cli::stdout;
use vas_frame::monotonic_ns;
use vas_status::{ServiceStatus, StatusRead};

use super::RunDirArgs;
use super::failure::Failure;

/// Show the state of the service and its cameras
///
/// Reads status.json twice to compute rates; the service writes it every second.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatusArgs {
    /// Print the file unchanged (docs/ref/status.md), without waiting for rates.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run_dir: RunDirArgs,
}

const EXAMPLES: &str = "\
Examples:
  vas status
  vas status --config /etc/vas/cameras.toml
  vas status --json | jq '.cameras[] | {id, state, reason}'

Exit codes: 0 done; 1 the status can't be read; 3 no service runs, or it has stopped writing.";

/// The largest age of a status that is still being written.
const MAX_AGE: Duration = Duration::from_secs(5);
/// How long, and how often, the second reading is tried.
const PATIENCE: Duration = Duration::from_millis(1500);
const AGAIN: Duration = Duration::from_millis(50);

pub(super) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let run_dir = args.run_dir.resolve()?;
    let read = || vas_status::read(&run_dir).map_err(Failure::NoStatus);
    let first = read()?;
    let age = age(&first);
    if args.json {
        stdout::write(&first.text).map_err(Failure::Stdout)?;
        return age.map(|_| ());
    }
    let Ok(age) = age else {
        stdout::write(&table::render(None, &first.status)).map_err(Failure::Stdout)?;
        return age.map(|_| ());
    };
    // Written each second: no use in trying earlier.
    thread::sleep(Duration::from_secs(1).saturating_sub(age));
    let (before, now) = match second(&first.status, read) {
        Some(second) => (Some(&first.status), second),
        None => (None, first.status.clone()),
    };
    stdout::write(&table::render(before, &now)).map_err(Failure::Stdout)
}

/// The age of a status.
fn age(read: &StatusRead) -> Result<Duration, Failure> {
    let StatusRead { path, status, .. } = read;
    let stale = |stale| Failure::StaleStatus { path: path.clone(), stale };
    status.fresh(monotonic_ns(), MAX_AGE, || status.service.process.runs()).map_err(stale)
}

/// The next status of the same service, if it comes in time.
fn second(
    first: &ServiceStatus,
    read: impl Fn() -> Result<StatusRead, Failure>,
) -> Option<ServiceStatus> {
    let turns = PATIENCE.as_millis() / AGAIN.as_millis();
    (0..turns).find_map(|_| {
        let status = read().ok()?.status;
        if status.written_ns == first.written_ns {
            thread::sleep(AGAIN);
            return None;
        }
        (status.service == first.service).then_some(status)
    })
}
