//! How a replay can fail, in words, and the exit code of each way.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::plot::PlotError;
use crate::recording::RecordingError;
use crate::subscriptions::SubscriptionsError;

/// Why a replay did not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The subscriptions can't be used.
    #[error(transparent)]
    Subscriptions(#[from] SubscriptionsError),
    /// The recording could not be opened.
    #[error("cannot read recording {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The recording could not be read to its end.
    #[error("recording {}: {source}", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RecordingError,
    },
    /// The plot could not be written.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// Standard output takes no more.
    #[error("cannot write to standard output: {0}")]
    Stdout(#[from] io::Error),
}

impl Failure {
    /// Says on standard error what happened and returns the exit code for it.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        match self {
            // Whoever reads our output has seen enough.
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            // These lines begin with file and line, where editors look for them.
            Self::Subscriptions(SubscriptionsError::Problems(problems)) => {
                eprintln!("{problems}");
                ExitCode::from(2)
            }
            Self::Subscriptions(_) => self.say(2),
            Self::Open { .. } | Self::Recording { .. } | Self::Plot(_) | Self::Stdout(_) => {
                self.say(1)
            }
        }
    }

    fn say(&self, exit: u8) -> ExitCode {
        eprintln!("vas gate: {self}");
        ExitCode::from(exit)
    }
}
