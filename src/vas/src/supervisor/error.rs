//! Why the service does not start or continue.

use std::io;
use std::path::PathBuf;

use vas_config::{Config, ConfigError};

use crate::program::NoShardProgram;

/// Why the service could not start or continue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The config can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    NoShardProgram(#[from] NoShardProgram),
    #[error("one service can't run {count} cameras; expected at most {}", Config::MAX_CAMERAS)]
    TooManyCameras { count: usize },
    #[error("can't use the run directory {}: {source}; see `[service] run_dir`", path.display())]
    RunDir { path: PathBuf, source: io::Error },
    #[error(
        "another service writes its status to {}; give each its own `[service] run_dir`",
        path.display()
    )]
    RunDirTaken { path: PathBuf },
    #[error("can't handle signals: {0}")]
    Signals(io::Error),
    #[error("{0}")]
    Shard(String),
    #[error("shards had to be killed: {0}")]
    Killed(String),
    #[error("can't wait for events: {0}")]
    Wait(io::Error),
}
