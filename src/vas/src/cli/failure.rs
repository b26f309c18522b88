//! How a verb can fail, in words, and the exit code of each way.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use vas_frame::{OpenError, ReadError};
use vas_media::ConvertError;

use crate::flag::FlagError;
use crate::picture::PngFileError;
use crate::shard::ShardError;
use crate::supervisor::RunError;
use vas_config::{CameraUrlError, ConfigError, SubstituteError};
use vas_status::{NoStatus, Stale, Unhealthy};

use super::logging::FilterError;
use super::probe::ProbeError;
use super::profile::NoParameters;

/// Why a verb did not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The config can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The export flag makes no sense.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// `VAS_LOG` makes no sense.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A url that was typed can't be completed.
    #[error(transparent)]
    Substitute(#[from] SubstituteError),
    /// A url that was typed is none.
    #[error(transparent)]
    Url(#[from] CameraUrlError),
    /// A camera that was tried does not work.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// MediaSoup can't be told of a camera's stream.
    #[error(transparent)]
    NoParameters(#[from] NoParameters),
    /// A decoded picture could not be made ready to be looked at.
    #[error("cannot show the picture: {0}")]
    Convert(#[from] ConvertError),
    /// The service could not start or go on.
    #[error(transparent)]
    Run(RunError),
    /// A part of the service could not start or go on.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A camera's export could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A camera's export has no frame to give.
    #[error(transparent)]
    Read(ReadError),
    /// The writer went, and no other came in its place.
    #[error("the writer of camera {camera} is gone, and no other came within {} s", limit.as_secs_f64())]
    NoNextWriter {
        /// The camera.
        camera: String,
        /// The time given.
        limit: Duration,
    },
    /// A picture could not be written.
    #[error(transparent)]
    Picture(#[from] PngFileError),
    /// A verb that is a program of its own can't be run.
    #[error("cannot run {}: {source}; install it beside vas, or somewhere in PATH", program.display())]
    NoProgram {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no status, or none that can be read.
    #[error(transparent)]
    NoStatus(NoStatus),
    /// Nobody writes the status any more.
    #[error("{}: {stale}", path.display())]
    StaleStatus {
        /// The file.
        path: PathBuf,
        /// How old it is, and what became of its writer.
        stale: Stale,
    },
    /// The service or a camera is not healthy.
    #[error("unhealthy: {0}")]
    Unhealthy(#[from] Unhealthy),
    /// It is not known where the service keeps its status.
    #[error(
        "neither --run-dir nor --config is given, and XDG_RUNTIME_DIR is not set; expected one of them"
    )]
    NoRunDir,
    /// Signals can't be handled.
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    /// Standard output takes no more.
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
    /// Says on standard error what happened and returns the exit code for it.
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
            // Whoever reads our output has seen enough: `vas watch gate | head`.
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
    fn codes_tell_the_ways_apart() {
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
