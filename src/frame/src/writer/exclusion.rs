//! Lock files: one holder at a time, even while files are created and removed at their paths.
//!
//! House rules. A lock belongs to an inode, a name to a directory, so a lock on an unlinked file excludes
//! nobody: after locking, check that the name still refers to that file, and remove a lock file only while
//! holding its lock. Both files are 0600: readers can't open them, and so can't lock them.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::Mode;

use super::files::Folder;
use crate::camera_id::CameraId;
use crate::error::ExportError;
use crate::layout::WRITER_FILE;
use crate::lock;

/// Lock file of the export directory: writers admit rings one at a time.
const ADMISSION_FILE: &str = ".admission";
/// How often, and how many times, to try for the lock.
const ASK_EVERY: Duration = Duration::from_millis(5);
const MOST_ASKS: u32 = 400;
/// How many times to try to read a holder's identity.
const MOST_LOOKS: usize = 20;

/// The outcome of an attempt to lock a file by its name.
enum Attempt {
    Locked(File),
    /// Another writer holds the lock; the file identifies it.
    Taken(File),
    /// The file, or its directory, was unlinked meanwhile.
    Gone,
}

fn attempt(folder: &Folder, name: &str) -> Result<Attempt, ExportError> {
    let file = match folder.open_or_create(name, Mode::RUSR | Mode::WUSR) {
        Err(ExportError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Attempt::Gone);
        }
        other => other?,
    };
    let locked = lock::try_write_lock(file.as_fd())
        .map_err(|e| ExportError::io("lock", folder.at(name), e))?;
    Ok(match locked {
        false => Attempt::Taken(file),
        true if folder.names(name, file.as_fd()) => Attempt::Locked(file),
        true => Attempt::Gone,
    })
}

/// Locks a camera; `None` if its directory was removed meanwhile by a writer that stopped.
///
/// # Errors
/// [`ExportError::Held`] with the holder's identity.
pub(super) fn lock_camera(folder: &Folder, camera: &CameraId) -> Result<Option<File>, ExportError> {
    match attempt(folder, WRITER_FILE)? {
        Attempt::Gone => Ok(None),
        Attempt::Taken(file) => {
            let holder = holder(&file).unwrap_or_else(|| "unknown: its lock file is empty".into());
            Err(ExportError::Held { camera: camera.clone(), holder })
        }
        Attempt::Locked(mut file) => {
            let written = rewrite(&mut file, &format!("{}\n", who_we_are()));
            written.map_err(|e| ExportError::io("write", folder.at(WRITER_FILE), e))?;
            Ok(Some(file))
        }
    }
}

/// The holder's identity, which it writes right after it takes the lock.
fn holder(file: &File) -> Option<String> {
    let looks = std::iter::repeat_with(|| {
        text_of(file).or_else(|| {
            std::thread::sleep(ASK_EVERY);
            None
        })
    });
    looks.take(MOST_LOOKS).flatten().next()
}

/// The exclusive right to allocate rings in an export directory; ends when dropped.
#[derive(Debug)]
pub(super) struct AdmissionTurn {
    _locked: Option<File>,
}

impl AdmissionTurn {
    /// Waits for the right. Its holder is about to allocate a ring, which takes some milliseconds.
    ///
    /// The wait is bounded, in case the holder is suspended: then this process's check only misses
    /// what the holder allocates later.
    pub(super) fn take(root: &Folder) -> Result<Self, ExportError> {
        for _ in 0..MOST_ASKS {
            match attempt(root, ADMISSION_FILE)? {
                Attempt::Locked(file) => return Ok(Self { _locked: Some(file) }),
                Attempt::Gone => {}
                Attempt::Taken(_) => std::thread::sleep(ASK_EVERY),
            }
        }
        tracing::warn!(
            "another writer has held {} for seconds; continuing without the lock",
            root.at(ADMISSION_FILE).display()
        );
        Ok(Self { _locked: None })
    }
}

/// Leaves the export directory. Removes it if a writer created it and it has no cameras.
pub(super) fn leave(root: &Folder, made_by_writer: bool) -> Result<(), ExportError> {
    // A current holder of the lock will leave later and clean up then.
    let Attempt::Locked(_file) = attempt(root, ADMISSION_FILE)? else { return Ok(()) };
    let others = std::fs::read_dir(&root.path)
        .map_err(|e| ExportError::io("list", &root.path, e))?
        .flatten()
        .any(|entry| entry.file_name() != ADMISSION_FILE);
    if others {
        return Ok(());
    }
    root.remove(ADMISSION_FILE);
    if made_by_writer && root.is_there() {
        // Fails if another writer has just started, which then keeps a directory that nobody
        // removes.
        let _ = rustix::fs::rmdir(&root.path);
    }
    Ok(())
}

fn rewrite(file: &mut File, text: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

/// A lock file's text; `None` if it is empty or unreadable.
fn text_of(mut file: &File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(512).read_to_string(&mut text).ok()?;
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// This process's identity: a process id is meaningful only together with the machine or container.
fn who_we_are() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let pid = rustix::process::getpid();
    format!("process {pid} on {host}, vas-frame {}", env!("CARGO_PKG_VERSION"))
}
