//! Who may read an export, and the check that files and directories belong to this process's user.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Gid, Mode, Stat, fchmod, fchown, fstat};

use crate::error::{ExportError, OwnerProblem};

/// Who may read an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The files' group; `None` keeps the process's own.
    pub group: Option<u32>,
    /// Permission bits of `frame.meta`, `frame.data` and `readers`; a directory gets search
    /// permission where a file gets read permission.
    pub file_mode: u32,
}

impl Default for Access {
    fn default() -> Self {
        Self { group: None, file_mode: 0o640 }
    }
}

impl Access {
    pub(crate) fn file_mode(self) -> Mode {
        // The owner can always write; nobody else ever can.
        Mode::from_raw_mode((self.file_mode & 0o444) | 0o600)
    }

    pub(crate) fn dir_mode(self) -> Mode {
        let read = self.file_mode & 0o444;
        Mode::from_raw_mode(read | read >> 2 | 0o700)
    }

    /// Sets the group and mode of an open file or directory, regardless of the umask.
    pub(crate) fn apply(
        self,
        fd: BorrowedFd<'_>,
        mode: Mode,
        path: &Path,
    ) -> Result<(), ExportError> {
        if let Some(group) = self.group {
            fchown(fd, None, Some(Gid::from_raw(group)))
                .map_err(|e| ExportError::io("give its group (`[export] group`) to", path, e))?;
        }
        fchmod(fd, mode).map_err(|e| ExportError::io("set the mode of", path, e))
    }
}

/// Checks that an open directory or regular file belongs to this process's user and that nobody
/// else can write it.
pub(crate) fn check_ours(fd: impl AsFd, path: &Path) -> Result<Stat, ExportError> {
    let stat = fstat(fd).map_err(|e| ExportError::io("look at", path, e))?;
    let not_ours = |problem| Err(ExportError::NotOurs { path: path.into(), problem });
    let expected = rustix::process::geteuid().as_raw();
    if stat.st_uid != expected {
        return not_ours(OwnerProblem::Owner { found: stat.st_uid, expected });
    }
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !matches!(kind, FileType::Directory | FileType::RegularFile) {
        return not_ours(OwnerProblem::Kind { mode: stat.st_mode });
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o022 != 0 {
        return not_ours(OwnerProblem::Writable { mode });
    }
    Ok(stat)
}
