//! The export directory: on tmpfs, owned by this process's user, and writable by nobody else.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, fstatfs, mkdir, open};
use rustix::io::Errno;

use super::access::{Access, check_ours};
use super::exclusion;
use super::files::Folder;
use super::watcher::{Watch, Watcher};
use crate::error::{ExportError, OwnerProblem};

/// `TMPFS_MAGIC` of `linux/magic.h`.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Marks an export directory as created by a writer, which then sets its mode and removes it. The mark is
/// created and removed with the directory, so no crash can leave one without the other.
const MADE_BY_WRITER: Mode = Mode::SVTX;

/// The directory that holds a directory per camera; [`DEFAULT_DIR`](crate::DEFAULT_DIR) by default.
#[derive(Debug)]
pub struct ExportRoot {
    folder: Folder,
    made_by_writer: bool,
}

impl ExportRoot {
    /// Opens the directory, creating it if its parent exists.
    ///
    /// # Errors
    /// If it is a link, not a directory, not on tmpfs, not owned by this process's user, or writable
    /// by others: another user may have created it first.
    pub fn open(path: impl AsRef<Path>, access: Access) -> Result<Self, ExportError> {
        Self::open_path(path.as_ref(), access)
    }

    fn open_path(path: &Path, access: Access) -> Result<Self, ExportError> {
        let created = match mkdir(path, Mode::RWXU | MADE_BY_WRITER) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(ExportError::io("create the export directory", path, e)),
        };
        let dir = open_directory(path)?;
        let fs =
            fstatfs(&dir).map_err(|e| ExportError::io("look at the file system of", path, e))?;
        if fs.f_type as u64 != TMPFS_MAGIC {
            if created {
                let _ = rustix::fs::rmdir(path);
            }
            return Err(ExportError::NotTmpfs { path: path.into() });
        }
        let mode = Mode::from_raw_mode(check_ours(&dir, path)?.st_mode);
        let made_by_writer = mode.contains(MADE_BY_WRITER);
        if made_by_writer {
            access.apply(dir.as_fd(), access.dir_mode() | MADE_BY_WRITER, path)?;
        }
        Ok(Self { folder: Folder { path: path.into(), fd: dir, access }, made_by_writer })
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// Whether the path still refers to this directory; otherwise readers can't find what is
    /// exported in it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.folder.is_there()
    }

    /// Opens the path again, after it was found to refer to another directory or none.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn reopen(&self) -> Result<Self, ExportError> {
        Self::open(self.path(), self.access())
    }

    /// Watches for its removal and that of directories in it: [`WatchEvent::Files`](crate::WatchEvent::Files).
    ///
    /// # Errors
    /// As [`CameraExport::watch_readers`](crate::CameraExport::watch_readers).
    pub fn watch(&self, watcher: &Arc<Watcher>) -> io::Result<Watch> {
        watcher.add_directory(self.folder.fd.as_fd())
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.folder.fd.as_fd()
    }

    pub(crate) fn access(&self) -> Access {
        self.folder.access
    }
}

impl Drop for ExportRoot {
    fn drop(&mut self) {
        if let Err(e) = exclusion::leave(&self.folder, self.made_by_writer) {
            tracing::warn!("can't clean up the export directory: {e}");
        }
    }
}

fn open_directory(path: &Path) -> Result<File, ExportError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open(path, flags, Mode::empty()) {
        Ok(fd) => Ok(fd.into()),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            Err(ExportError::NotOurs { path: path.into(), problem: OwnerProblem::NoDirectory })
        }
        Err(e) => Err(ExportError::io("open the directory", path, e)),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::fstat;

    use super::*;

    fn shm() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").unwrap()
    }

    #[test]
    fn created_on_open_removed_on_drop() {
        let dir = shm();
        let path = dir.path().join("vas");
        let root = ExportRoot::open(&path, Access::default()).unwrap();
        let mode = fstat(root.dir()).unwrap().st_mode & 0o7777;
        assert_eq!(mode, 0o1750);
        drop(root);
        assert!(!path.exists());
    }

    #[test]
    fn a_disk_is_refused_and_left_unchanged() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("vas");
        let error = ExportRoot::open(&path, Access::default()).unwrap_err();
        assert!(matches!(error, ExportError::NotTmpfs { .. }), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn a_link_and_a_writable_directory_are_refused() {
        let dir = shm();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(ExportRoot::open(&link, Access::default()).is_err());
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        rustix::fs::chmod(&open, Mode::from_raw_mode(0o777)).unwrap();
        let error = ExportRoot::open(&open, Access::default()).unwrap_err().to_string();
        assert!(error.contains("others may write it"), "{error}");
    }

    #[test]
    fn modes_never_let_others_write() {
        let access = Access { group: None, file_mode: 0o666 };
        assert_eq!(access.file_mode().bits(), 0o644);
        assert_eq!(access.dir_mode().bits(), 0o755);
        assert_eq!(Access::default().dir_mode().bits(), 0o750);
    }
}
