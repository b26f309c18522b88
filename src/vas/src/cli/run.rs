//! `vas run`: the service itself.

use std::env;

use clap::Args;

use super::ConfigArgs;
use super::failure::Failure;
use crate::config::{self, Surroundings};
use crate::trial::Trial;
use crate::{flag, service};

/// Run the service until it is told to stop
///
/// Connects to every camera of the config, again and again if need be. Frames are exported only
/// when AI_FRAME_EXPORT_ENABLED is true. SIGINT or SIGTERM stop it and remove what it exported.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    trial: Trial,
}

const EXAMPLES: &str = "\
Examples:
  AI_FRAME_EXPORT_ENABLED=true vas run --config /etc/vas/cameras.toml

The least config:
  [[camera]]
  id = \"gate\"
  url = \"rtsp://admin:${CAMERA_PASSWORD}@10.0.0.2/stream\"";

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    let export = flag::parse(env::var_os(flag::NAME).as_deref())?;
    let config = config::load(&args.config.config, &Surroundings::of_this_process())?;
    Ok(service::run(config, export, &args.trial)?)
}
