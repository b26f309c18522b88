//! `vas run`: the service itself.

use std::env;

use clap::Args;
use vas_cli::{ConfigArgs, Verbosity};
use vas_config::Environment;

use super::failure::Failure;
use crate::flag;
use crate::supervisor::{self, Asked};
use crate::test_hooks::TestHooks;

/// Run the service until it is stopped
///
/// Connects to every camera of the config, and reconnects if need be. Frames are exported only when
/// AI_FRAME_EXPORT_ENABLED is true. SIGHUP reloads the config; SIGINT or SIGTERM stops the service
/// and removes what it exported.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    test_hooks: TestHooks,
}

const EXAMPLES: &str = "\
Examples:
  AI_FRAME_EXPORT_ENABLED=true vas run --config /etc/vas/cameras.toml

Minimal config:
  [[camera]]
  id = \"gate\"
  url = \"rtsp://admin:${CAMERA_PASSWORD}@10.0.0.2/stream\"";

pub(super) fn run(args: &RunArgs, verbosity: &Verbosity) -> Result<(), Failure> {
    Ok(supervisor::run(Asked {
        path: args.config.config.clone(),
        environment: Environment::of_this_process(),
        export: flag::parse(env::var_os(flag::NAME).as_deref())?,
        test_hooks: args.test_hooks.clone(),
        logging: verbosity.to_args(),
    })?)
}
