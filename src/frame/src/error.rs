//! Why an export can't be written or read, in words with the values in them.

use std::io;
use std::path::PathBuf;

use crate::writer::Shortage;

/// Why a camera can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A system call failed.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory is on a disk.
    #[error(
        "{} is not on tmpfs: frames would go to a disk; choose a directory below /dev/shm (`[export] dir`)",
        path.display()
    )]
    NotTmpfs {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody else owns it, or it is not what it should be.
    #[error("{} {problem}; remove it or choose another directory (`[export] dir`)", path.display())]
    NotOurs {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another writer holds the camera.
    #[error("camera {camera} is already exported by another writer: {holder}")]
    Held {
        /// The camera.
        camera: String,
        /// What that writer wrote of itself.
        holder: String,
    },
    /// The ring does not fit in memory.
    #[error(transparent)]
    Memory(#[from] Shortage),
}

impl ExportError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}

/// Why a reader can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no directory for the camera.
    #[error("no such camera: {} does not exist (is the service running with AI_FRAME_EXPORT_ENABLED=true?)", path.display())]
    NoCamera {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The camera is exported, but nothing has been published yet.
    #[error("nothing exported yet for camera {camera}: its writer has not opened a ring")]
    NotYet {
        /// The camera.
        camera: String,
    },
    /// The files stayed behind after their writer died.
    #[error(
        "the writer of camera {camera} is gone: its last files are there, but nobody holds their lock"
    )]
    NoWriter {
        /// The camera.
        camera: String,
    },
    /// `frame.meta` or `frame.data` is not what this reader understands.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        problem: String,
    },
    /// A system call failed.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}

/// Why a reader has no frame to give.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing that is surely current has been published since this reader attached.
    #[error("no frame published yet since this reader attached to camera {camera}")]
    NotYet {
        /// The camera.
        camera: String,
    },
    /// No frame within the time given; the writer lives.
    #[error("camera {camera} published no new frame within {} ms; its writer is alive", timeout.as_millis())]
    TimedOut {
        /// The camera.
        camera: String,
        /// The time given.
        timeout: std::time::Duration,
    },
    /// The writer died or stopped; the next one will be followed by a later call.
    #[error("the writer of camera {camera} is gone ({how}); a later call follows the next one")]
    WriterGone {
        /// The camera.
        camera: String,
        /// `stopped` or `died`.
        how: &'static str,
    },
    /// The export's files could not be opened again.
    #[error(transparent)]
    Open(#[from] OpenError),
}
