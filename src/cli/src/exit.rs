//! The exit codes.

use std::io;
use std::process::ExitCode;

/// The exit codes; `vas --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed while running.
    Failed = 1,
    /// Invalid usage or config.
    WrongUse = 2,
    /// No such camera, no writer for its frames, or no service.
    NoCamera = 3,
}

impl Exit {
    /// After a failed write to standard output: the reader of it may have seen enough, as in
    /// `vas watch gate | head`.
    pub fn of_stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Done } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
