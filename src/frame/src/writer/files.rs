//! The files of an export: created completely under a temporary name, then renamed into place.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, Mode, OFlags, Stat, fallocate, fstat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;

use super::access::{Access, check_ours};
use crate::error::{ExportError, OwnerProblem};

/// An open directory: the export directory or a camera's.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) fd: File,
    pub(super) access: Access,
}

impl Folder {
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether its path still refers to it.
    pub(super) fn is_there(&self) -> bool {
        let named = statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW);
        is_same(named, fstat(&self.fd))
    }

    /// Creates `name` in full size, with its memory allocated and mapped, under a temporary name and
    /// readable by nobody else.
    ///
    /// `fallocate` reports a lack of memory as an error here, instead of SIGBUS at a later store.
    pub(super) fn create(&self, name: &str, bytes: u64) -> Result<(File, MmapRaw), ExportError> {
        let temporary = temporary(name);
        let path = self.at(&temporary);
        // Anything at that name is not this writer's.
        self.remove(&temporary);
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: File = openat(&self.fd, &temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| ExportError::io("create", &path, e))?
            .into();
        let filled = fill(&file, &path, bytes);
        if filled.is_err() {
            self.remove(&temporary);
        }
        filled.map(|map| (file, map))
    }

    /// Grants readers access to a created file and gives it its final name, replacing any file
    /// there.
    pub(super) fn install(&self, name: &str, file: &File) -> Result<(), ExportError> {
        self.access.apply(file.as_fd(), self.access.file_mode(), &self.at(name))?;
        renameat(&self.fd, temporary(name), &self.fd, name)
            .map_err(|e| ExportError::io("rename into place", self.at(name), e))
    }

    /// Opens or creates a file that is never renamed.
    pub(super) fn open_or_create(&self, name: &str, mode: Mode) -> Result<File, ExportError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.at(name);
        let file: File = match openat(&self.fd, name, flags, mode) {
            Ok(fd) => fd.into(),
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => {
                let problem = OwnerProblem::NoRegularFile;
                return Err(ExportError::NotOurs { path, problem });
            }
            Err(e) => return Err(ExportError::io("open", path, e)),
        };
        check_ours(&file, &path)?;
        Ok(file)
    }

    /// Removes a file, if it exists.
    pub(super) fn remove(&self, name: &str) {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => tracing::warn!("can't remove {}: {e}", self.at(name).display()),
        }
    }

    /// Removes temporary files of a writer that died.
    pub(super) fn remove_temporaries(&self, names: &[&str]) {
        for name in names {
            self.remove(&temporary(name));
        }
    }

    /// Whether `name` still refers to the open file.
    pub(super) fn names(&self, name: &str, file: BorrowedFd<'_>) -> bool {
        let named = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        is_same(named, fstat(file))
    }
}

fn is_same(one: rustix::io::Result<Stat>, other: rustix::io::Result<Stat>) -> bool {
    matches!((one, other), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// Allocates a file's memory and maps it for writing.
fn fill(file: &File, path: &Path, bytes: u64) -> Result<MmapRaw, ExportError> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            Err(e) => return Err(ExportError::io("allocate", path, e)),
            Ok(()) => break,
        }
    }
    // Populated, so that the first store to a page does not fault on the per-frame path.
    let map = MmapOptions::new().populate().map_raw(file);
    let map = map.map_err(|e| ExportError::io("map", path, e))?;
    // Pictures don't belong in a core file: they are private, and writing them out delays the release
    // of the locks by which readers detect that the writer died.
    map.advise(Advice::DontDump).map_err(|e| ExportError::io("keep out of core files", path, e))?;
    Ok(map)
}

fn temporary(name: &str) -> String {
    format!(".{name}.new")
}
