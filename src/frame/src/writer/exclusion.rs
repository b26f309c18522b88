//! Lock files: one holder at a time, even while files come and go at their paths.
//!
//! House rules. A lock belongs to an inode and a name to a directory, so a lock on a file that no longer has
//! its name excludes nobody: whoever locks looks again whether the name still is that file's, and whoever
//! removes a lock file holds its lock. Both files are 0600: readers can't open them, and so can't lock them.

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

/// Lock file of the export directory: writers promise memory one after the other.
const ADMISSION_FILE: &str = ".admission";
/// How often, and how many times, a turn is asked for.
const ASK_EVERY: Duration = Duration::from_millis(5);
const MOST_ASKS: u32 = 400;
/// How many times a holder's words are looked for.
const MOST_LOOKS: usize = 20;

/// What came of an attempt to lock a file by its name.
enum Attempt {
    Locked(File),
    /// Somebody else has it; the file, to see who.
    Taken(File),
    /// The file, or its directory, lost its name meanwhile.
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

/// Takes a camera; `None` when its directory was removed meanwhile, by a writer that left.
///
/// # Errors
/// [`ExportError::Held`] with what the holder wrote of itself.
pub(super) fn lock_camera(folder: &Folder, camera: &CameraId) -> Result<Option<File>, ExportError> {
    match attempt(folder, WRITER_FILE)? {
        Attempt::Gone => Ok(None),
        Attempt::Taken(file) => {
            let holder = holder(&file).unwrap_or_else(|| "it did not say who it is".into());
            Err(ExportError::Held { camera: camera.clone(), holder })
        }
        Attempt::Locked(mut file) => {
            let told = rewrite(&mut file, &format!("{}\n", who_we_are()));
            told.map_err(|e| ExportError::io("write", folder.at(WRITER_FILE), e))?;
            Ok(Some(file))
        }
    }
}

/// What a holder says of itself, which it does as soon as it has the lock.
fn holder(file: &File) -> Option<String> {
    let looks = std::iter::repeat_with(|| {
        text_of(file).or_else(|| {
            std::thread::sleep(ASK_EVERY);
            None
        })
    });
    looks.take(MOST_LOOKS).flatten().next()
}

/// The right to promise memory in an export directory; ends when dropped.
#[derive(Debug)]
pub(super) struct AdmissionTurn {
    _locked: Option<File>,
}

impl AdmissionTurn {
    /// Waits for the turn. Whoever has it is about to allocate a ring, which takes some milliseconds.
    ///
    /// A writer that has been stopped in its turn is not waited for: what it would allocate is then
    /// merely not seen by our own check.
    pub(super) fn take(root: &Folder) -> Result<Self, ExportError> {
        for _ in 0..MOST_ASKS {
            match attempt(root, ADMISSION_FILE)? {
                Attempt::Locked(file) => return Ok(Self { _locked: Some(file) }),
                Attempt::Gone => {}
                Attempt::Taken(_) => std::thread::sleep(ASK_EVERY),
            }
        }
        tracing::warn!(
            "another writer has held {} for seconds: not waiting for it any longer",
            root.at(ADMISSION_FILE).display()
        );
        Ok(Self { _locked: None })
    }
}

/// Leaves the export directory and, if a writer made it, removes it when nobody has a camera in it.
pub(super) fn leave(root: &Folder, made_by_writer: bool) -> Result<(), ExportError> {
    // Who holds the lock will leave later than we do.
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
        // Fails when a writer has just come, which then stays in a directory that nobody removes.
        let _ = rustix::fs::rmdir(&root.path);
    }
    Ok(())
}

fn rewrite(file: &mut File, text: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

/// What a lock file says; `None` where it says nothing that can be read.
fn text_of(mut file: &File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(512).read_to_string(&mut text).ok()?;
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A holder in words: a process id means something only together with the machine or container.
fn who_we_are() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let pid = rustix::process::getpid();
    format!("process {pid} on {host}, vas-frame {}", env!("CARGO_PKG_VERSION"))
}
