//! A camera's folder: its lock, its contents, and new files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, RenameFlags};
use vas_frame::CameraId;

use super::error::RecordError;
use super::mend::whole;
use super::name::Name;

/// The file whose lock marks a folder as being recorded into.
pub(super) const LOCK: &str = ".recorder";
const FOLDER_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// The folder of a camera's recordings, locked by us as long as this exists.
#[derive(Debug)]
pub(super) struct CameraDir {
    dir: PathBuf,
    /// The lock is released with it, also when the process dies.
    lock: File,
}

/// A closed recording in a camera's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: Name,
    pub(super) bytes: u64,
}

impl CameraDir {
    /// Locks the folder of `camera` in `dir`, which must exist: recordings for a disk that is not
    /// mounted must not end up on another.
    pub(super) fn take(dir: &Path, camera: &CameraId) -> Result<Self, RecordError> {
        if !dir.is_dir() {
            return Err(RecordError::NoFolder { dir: dir.into() });
        }
        let dir = dir.join(camera.as_str());
        make_folder(&dir)?;
        let path = dir.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(RecordError::io("open", &path))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { dir, lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(RecordError::Taken { dir }),
            Err(errno) => Err(RecordError::io("lock", &path)(errno.into())),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the folder's path still leads to the folder that was locked.
    pub(super) fn is_there(&self) -> bool {
        is_same(&self.lock, &self.dir.join(LOCK))
    }

    /// All closed recordings, by name. Unfinished files are closed first: only we can be writing
    /// them.
    pub(super) fn list(&self) -> Result<Vec<Found>, RecordError> {
        let mut found = Vec::new();
        for day in names(&self.dir).map_err(RecordError::io("read", &self.dir))? {
            let folder = self.dir.join(&day);
            // No links: what is deleted later must lie in this folder.
            if !fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir()) {
                continue;
            }
            for file in names(&folder).map_err(RecordError::io("read", &folder))? {
                let Some((mut name, finished)) = Name::parse(&day, &file) else { continue };
                if !finished {
                    match self.mend(name)? {
                        Some(mended) => name = mended,
                        None => continue,
                    }
                }
                match fs::symlink_metadata(self.dir.join(name.path())) {
                    Ok(meta) if meta.is_file() => found.push(Found { name, bytes: meta.len() }),
                    _ => {}
                }
            }
        }
        found.sort_by_key(|found| found.name);
        found.dedup_by_key(|found| found.name);
        Ok(found)
    }

    /// Gives the complete part of an unfinished file its name; `None` when nothing is complete.
    pub(super) fn mend(&self, name: Name) -> Result<Option<Name>, RecordError> {
        let path = self.dir.join(name.unfinished());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(RecordError::io("open", &path))?;
        let whole = whole(&mut file).map_err(RecordError::io("read", &path))?;
        if whole.fragments == 0 {
            fs::remove_file(&path).map_err(RecordError::io("remove", &path))?;
            tracing::info!("removed {}: it has no playable part", path.display());
            return Ok(None);
        }
        file.set_len(whole.bytes).map_err(RecordError::io("shorten", &path))?;
        let name = self.close(&file, name)?;
        let path = self.dir.join(name.path());
        tracing::info!("closed {} with {} fragments", path.display(), whole.fragments);
        Ok(Some(name))
    }

    /// Creates a file for a recording that began at `began`, under an unused name.
    pub(super) fn create(&self, began: Timestamp) -> Result<(Name, File), RecordError> {
        let mut name = Name::of(began).ok_or(RecordError::NoName)?;
        make_folder(&self.dir.join(name.day()))?;
        loop {
            let path = self.dir.join(name.unfinished());
            let created = match fs::symlink_metadata(self.dir.join(name.path())) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => {
                    OpenOptions::new().create_new(true).write(true).mode(FILE_MODE).open(&path)
                }
            };
            match created {
                Ok(file) => return Ok((name, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => name = name.next(),
                Err(error) => return Err(RecordError::io("create", &path)(error)),
            }
        }
    }

    /// Whether the name still leads to `file`.
    pub(super) fn still_has(&self, file: &File, name: Name) -> bool {
        is_same(file, &self.dir.join(name.unfinished()))
    }

    /// Syncs a file and gives it its name, or the next free one.
    pub(super) fn close(&self, file: &File, mut name: Name) -> Result<Name, RecordError> {
        let from = self.dir.join(name.unfinished());
        file.sync_data().map_err(RecordError::io("write", &from))?;
        loop {
            let to = self.dir.join(name.path());
            match rename_to_new(&from, &to) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => name = name.next(),
                Err(error) => return Err(RecordError::io("rename", &from)(error)),
            }
        }
        // The name is durable once its folder is synced.
        let folder = self.dir.join(name.day());
        let synced = File::open(&folder).and_then(|folder| folder.sync_all());
        synced.map_err(RecordError::io("write", &folder))?;
        Ok(name)
    }
}

/// Whether `path` leads to the open `file`.
fn is_same(file: &File, path: &Path) -> bool {
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(ours), Ok(there))
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

fn make_folder(path: &Path) -> Result<(), RecordError> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(RecordError::io("create", path)),
    }
}

/// Renames without ever replacing. Where the file system can't do that in one step, it is safe
/// because no other process creates files here.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

/// The entries of a folder that can be ours: those whose names are text.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}
