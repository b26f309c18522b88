//! Why a camera is not being recorded.

use std::io;
use std::path::{Path, PathBuf};

use vas_media::MuxError;

/// What failed, with what, and what to do. Recording is retried after each.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("there is no folder {}; make it, or mount its disk (`[record] dir`)", dir.display())]
    NoFolder { dir: PathBuf },
    #[error(
        "another process records into {}; each camera needs a folder of its own",
        dir.display()
    )]
    Taken { dir: PathBuf },
    #[error("no room on the disk of {}; waiting until there is", path.display())]
    Full { path: PathBuf },
    #[error("can't {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} was removed or replaced while it was written", path.display())]
    Gone { path: PathBuf },
    #[error("the system's clock is outside the years 0 to 9999 that a file name can state")]
    NoName,
    #[error("{0}")]
    Mux(MuxError),
}

impl RecordError {
    /// For `map_err`: what failed while `doing` something to `path`.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { doing, path, source },
        }
    }

    /// Converts a muxer error on a file.
    pub(super) fn mux(path: &Path, error: MuxError) -> Self {
        match error {
            MuxError::Write(source) => Self::io("write", path)(source),
            error => Self::Mux(error),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
