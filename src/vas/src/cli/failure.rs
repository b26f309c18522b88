//! How a verb can fail, with the message and exit code of each way.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use vas_config::{CameraUrlError, ConfigError, SubstituteError};
use vas_frame::{OpenError, ReadError};
use vas_media::ConvertError;
use vas_status::{NoStatus, Stale, Unhealthy};

use super::logging::FilterError;
use super::probe::ProbeError;
use super::profile::NoParameters;
use crate::flag::FlagError;
use crate::picture::PngFileError;
use crate::shard::ShardError;
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
    /// A variable in a given url can't be replaced.
    #[error(transparent)]
    Substitute(#[from] SubstituteError),
    /// A given url is invalid.
    #[error(transparent)]
    Url(#[from] CameraUrlError),
    /// A camera that was tried does not work.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// There are no parameters of a camera's stream for MediaSoup.
    #[error(transparent)]
    NoParameters(#[from] NoParameters),
    /// A decoded picture could not be converted for viewing.
    #[error("cannot convert the picture to RGB: {0}")]
    Convert(#[from] ConvertError),
    /// The service could not start or continue.
    #[error(transparent)]
    Run(RunError),
    /// A shard could not start or continue.
    #[error(transparent)]
    Shard(#[from] ShardError),
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
    /// Signals can't be handled.
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    /// Standard output is closed or full.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
}

/// The exit codes; `vas --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failed = 1,
    WrongUse = 2,
    NoCamera = 3,
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
        ExitCode::from(exit as u8)
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::Flag(_)
            | Self::Filter(_)
            | Self::Substitute(_)
            | Self::NoRunDir
            | Self::Url(_) => Exit::WrongUse,
            Self::Probe(error) if error.is_bad_url() => Exit::WrongUse,
            Self::Open(error) | Self::Read(ReadError::Open(error)) => match error {
                OpenError::NoCamera { .. } | OpenError::NoWriter { .. } => Exit::NoCamera,
                _ => Exit::Failed,
            },
            Self::Read(ReadError::WriterGone { .. }) | Self::NoNextWriter { .. } => Exit::NoCamera,
            Self::Unhealthy(Unhealthy::NoCamera { .. })
            | Self::NoParameters(NoParameters::NoCamera { .. })
            | Self::NoStatus(NoStatus::NotThere { .. })
            | Self::StaleStatus { .. } => Exit::NoCamera,
            // The reader of our output has seen enough: `vas watch gate | head`.
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Read(_)
            | Self::Run(_)
            | Self::Shard(_)
            | Self::Probe(_)
            | Self::NoParameters(_)
            | Self::Convert(_)
            | Self::Picture(_)
            | Self::NoProgram { .. }
            | Self::NoStatus(_)
            | Self::Unhealthy(_)
            | Self::Signals(_)
            | Self::Stdout(_) => Exit::Failed,
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
        ] {
            assert_eq!(failure.exit(), exit, "{failure}");
        }
    }
}
