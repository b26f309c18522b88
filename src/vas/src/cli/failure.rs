//! How a verb can fail, with the message and exit code of each way.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use vas_cli::{Exit, FilterError};
use vas_config::ConfigError;
use vas_frame::{ExportError, OpenError, ReadError};
use vas_picture::PngFileError;
use vas_plan::NoStreams;
use vas_status::{NoStatus, Stale, Unhealthy};

use crate::flag::FlagError;
use crate::program::NoShardProgram;
use crate::supervisor::RunError;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The config can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The export flag is invalid.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// `VAS_LOG` is invalid.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The service could not start or continue.
    #[error(transparent)]
    Run(RunError),
    /// The program that works with FFmpeg can't be run.
    #[error(transparent)]
    NoShardProgram(#[from] NoShardProgram),
    /// A camera's export could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A camera's export has no frame.
    #[error(transparent)]
    Read(ReadError),
    /// The writer is gone, and no other replaced it in time.
    #[error("the writer of camera {camera} is gone, and no other replaced it within {} s", limit.as_secs_f64())]
    NoNextWriter {
        /// The camera.
        camera: String,
        /// The time given.
        limit: Duration,
    },
    /// A picture could not be written.
    #[error(transparent)]
    Picture(#[from] PngFileError),
    /// A verb that is a separate program can't be run.
    #[error("cannot run {}: {source}; install it beside vas, or somewhere in PATH", program.display())]
    NoProgram {
        /// The program.
        program: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no status, or none that can be read.
    #[error(transparent)]
    NoStatus(NoStatus),
    /// The status is no longer being written.
    #[error("{}: {stale}", path.display())]
    StaleStatus {
        /// The file.
        path: PathBuf,
        /// Its age, and the state of its writer.
        stale: Stale,
    },
    /// The service or a camera is unhealthy.
    #[error("unhealthy: {0}")]
    Unhealthy(#[from] Unhealthy),
    /// The folder of the service's status is unknown.
    #[error(
        "neither --run-dir nor --config is given, and XDG_RUNTIME_DIR is not set; expected one of them"
    )]
    NoRunDir,
    /// The cameras that are to be planned for are unknown.
    #[error(transparent)]
    NoStreams(#[from] NoStreams),
    /// The host does not say what it has.
    #[error("cannot compare with this host: {0}")]
    Host(ExportError),
    /// What was planned does not fit; the plan says what.
    #[error("not everything fits: see the plan")]
    DoesNotFit,
    /// Signals can't be handled.
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    /// Standard output is closed or full.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Config(error) => Self::Config(error),
            error => Self::Run(error),
        }
    }
}

impl Failure {
    /// Prints the failure on standard error and returns its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let exit = self.exit();
        match self {
            _ if exit == Exit::Done => {}
            // These lines begin with file and line, where editors look for them.
            Self::Config(ConfigError::Problems(problems)) => eprintln!("{problems}"),
            _ => eprintln!("vas: {self}"),
        }
        exit.into()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::Flag(_)
            | Self::Filter(_)
            | Self::NoRunDir
            | Self::NoStreams(_) => Exit::WrongUse,
            Self::Open(error) | Self::Read(ReadError::Open(error)) => match error {
                OpenError::NoCamera { .. } | OpenError::NoWriter { .. } => Exit::NoCamera,
                _ => Exit::Failed,
            },
            Self::Read(ReadError::WriterGone { .. }) | Self::NoNextWriter { .. } => Exit::NoCamera,
            Self::Unhealthy(Unhealthy::NoCamera { .. })
            | Self::NoStatus(NoStatus::NotThere { .. })
            | Self::StaleStatus { .. } => Exit::NoCamera,
            Self::Stdout(error) => Exit::of_stdout(error),
            Self::Read(_)
            | Self::Run(_)
            | Self::NoShardProgram(_)
            | Self::Picture(_)
            | Self::NoProgram { .. }
            | Self::NoStatus(_)
            | Self::Unhealthy(_)
            | Self::Host(_)
            | Self::DoesNotFit
            | Self::Signals(_) => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use vas_frame::{CameraId, FormatProblem, WriterEnd};

    use super::*;

    fn id() -> CameraId {
        CameraId::new("gate").unwrap()
    }

    fn gate() -> String {
        "gate".into()
    }

    #[test]
    fn exit_codes_distinguish_the_failures() {
        let no_writer = OpenError::NoWriter { camera: id() };
        let limit = Duration::from_secs(5);
        for (failure, exit) in [
            (Failure::Open(no_writer), Exit::NoCamera),
            (Failure::Open(OpenError::NoCamera { path: "/x".into() }), Exit::NoCamera),
            (
                Failure::Open(OpenError::Format {
                    path: "/x".into(),
                    problem: FormatProblem::NoRegularFile,
                }),
                Exit::Failed,
            ),
            (
                Failure::Read(ReadError::WriterGone { camera: id(), how: WriterEnd::Died }),
                Exit::NoCamera,
            ),
            (Failure::NoNextWriter { camera: gate(), limit }, Exit::NoCamera),
            (Failure::Read(ReadError::TimedOut { camera: id(), timeout: limit }), Exit::Failed),
            (Failure::Read(ReadError::NotYet { camera: id() }), Exit::Failed),
            (Failure::NoStatus(NoStatus::NotThere { path: "/x".into() }), Exit::NoCamera),
            (Failure::Unhealthy(Unhealthy::Starting), Exit::Failed),
            (Failure::Unhealthy(Unhealthy::Unknown("x".into())), Exit::Failed),
            (
                Failure::Unhealthy(Unhealthy::NoCamera { camera: gate(), known: gate() }),
                Exit::NoCamera,
            ),
            (Failure::Stdout(io::ErrorKind::BrokenPipe.into()), Exit::Done),
            (Failure::Stdout(io::ErrorKind::StorageFull.into()), Exit::Failed),
            (Failure::DoesNotFit, Exit::Failed),
        ] {
            assert_eq!(failure.exit(), exit, "{failure}");
        }
    }
}
