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
use super::pages::Mapping;
use crate::error::{ExportError, OwnerProblem};
use crate::huge_pages::{self, AlignedMap};
use crate::layout::{DATA_FILE, META_FILE};

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

    /// Creates `frame.meta` in full size, with its memory allocated and mapped, under a temporary name and
    /// readable by nobody else.
    pub(super) fn create_meta(&self, bytes: u64) -> Result<(File, MmapRaw), ExportError> {
        self.create(META_FILE, |file, path| allocate_meta(file, path, bytes))
    }

    /// Creates `frame.data` likewise, in huge pages as far as the kernel has them.
    pub(super) fn create_data(&self, bytes: u64) -> Result<(File, Mapping), ExportError> {
        self.create(DATA_FILE, |file, path| allocate_data(file, path, bytes))
    }

    fn create<M>(
        &self,
        name: &str,
        fill: impl FnOnce(&File, &Path) -> Result<M, ExportError>,
    ) -> Result<(File, M), ExportError> {
        let temporary = temporary(name);
        let path = self.at(&temporary);
        // Anything at that name is not this writer's.
        self.remove(&temporary);
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: File = openat(&self.fd, &temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| ExportError::io("create", &path, e))?
            .into();
        let filled = fill(&file, &path);
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

fn allocate_meta(file: &File, path: &Path, bytes: u64) -> Result<MmapRaw, ExportError> {
    loop {
        // What turns "no room" into an error here and now instead of SIGBUS at a store.
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            Err(e) => return Err(ExportError::io("allocate", path, e)),
            Ok(()) => break,
        }
    }
    // Populated, so that the first store to a page does not fault on the per-frame path.
    let map = MmapOptions::new().populate().map_raw(file);
    let map = map.map_err(|e| ExportError::io("map", path, e))?;
    map.advise(Advice::DontDump).map_err(|e| ExportError::io(NO_DUMP, path, e))?;
    Ok(map)
}

fn allocate_data(file: &File, path: &Path, bytes: u64) -> Result<Mapping, ExportError> {
    let len = usize::try_from(bytes).map_err(|_| ExportError::io("map", path, Errno::NOMEM))?;
    let huge = huge_pages::allocate(file, len).map_err(|e| ExportError::io("allocate", path, e))?;
    let map = AlignedMap::populated(file, len).map_err(|e| ExportError::io("map", path, e))?;
    // Pictures are nothing for a core file: they are private, and writing them out holds up the release
    // of the locks by which readers see that the writer died.
    map.keep_out_of_core_files().map_err(|e| ExportError::io(NO_DUMP, path, e))?;
    Ok(Mapping::new(map, huge))
}

const NO_DUMP: &str = "keep out of core files";

fn temporary(name: &str) -> String {
    format!(".{name}.new")
}
