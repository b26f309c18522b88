//! How this program can fail, with the message and exit code of each way.

use std::io;
use std::process::ExitCode;

use vas_channel::OtherBuild;
use vas_cli::{Exit, FilterError};
use vas_config::{CameraUrlError, ConfigError, SubstituteError};
use vas_media::ConvertError;
use vas_picture::PngFileError;

use crate::serve::ShardError;
use crate::verbs::{NoParameters, ProbeError};

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// `vas` did not run it, or another version of `vas` did.
    #[error(transparent)]
    OtherBuild(#[from] OtherBuild),
    /// `VAS_LOG` is invalid.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A shard could not start or continue.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The config can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
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
    /// A picture could not be written.
    #[error(transparent)]
    Picture(#[from] PngFileError),
    /// Standard output is closed or full.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
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
            Self::Filter(_) | Self::Config(_) | Self::Substitute(_) | Self::Url(_) => {
                Exit::WrongUse
            }
            Self::Probe(error) if error.is_bad_url() => Exit::WrongUse,
            Self::NoParameters(NoParameters::NoCamera { .. }) => Exit::NoCamera,
            Self::Stdout(error) => Exit::of_stdout(error),
            Self::OtherBuild(_)
            | Self::Shard(_)
            | Self::Probe(_)
            | Self::NoParameters(_)
            | Self::Convert(_)
            | Self::Picture(_) => Exit::Failed,
        }
    }
}
