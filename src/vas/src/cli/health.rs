//! `vas health`: the probe for containers.

use std::time::Duration;

use clap::Args;
use vas_cli::stdout;
use vas_frame::monotonic_ns;
use vas_status::Unhealthy;

use super::failure::Failure;
use super::{RunDirArgs, duration};

/// Check whether the service or one of its cameras is healthy
///
/// Reads only status.json. Without CAMERA, the service is healthy while it writes the file and has
/// given up on nothing; a camera is healthy while it delivers packets.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HealthArgs {
    /// Id of a camera, as in the config.
    camera: Option<String>,
    /// Maximum age of the status, which is written every second.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    max_age: Duration,
    #[command(flatten)]
    run_dir: RunDirArgs,
}

const EXAMPLES: &str = "\
Examples:
  vas health
  vas health gate --max-age 2s
  vas health --run-dir /run/vas

Exit codes: 0 healthy; 1 not healthy; 2 invalid usage; 3 no such camera.";

pub(super) fn run(args: &HealthArgs) -> Result<(), Failure> {
    let read = vas_status::read(&args.run_dir.resolve()?)
        .map_err(|error| Unhealthy::Unknown(error.to_string()))?;
    // After reading: the status can't then be from the future.
    let now_ns = monotonic_ns();
    let status = &read.status;
    let age = status.fresh(now_ns, args.max_age, || status.service.process.runs());
    let words = vas_status::judge(status, age, args.camera.as_deref())?;
    stdout::write(&format!("healthy: {words}\n")).map_err(Failure::Stdout)
}
