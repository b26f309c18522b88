//! Removes the files that dead readers of this user left.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::process::geteuid;

use super::layout::{FILE_SIZE, SUFFIX};
use crate::lock;

/// Names that one sweep looks at; the next one goes on where files were removed.
const MOST_NAMES: usize = 1024;

/// Removes this user's files that nobody locks. A failure is left to the next reader.
pub(super) fn sweep(folder: BorrowedFd<'_>) {
    let Ok(names) = Dir::read_from(folder) else { return };
    for entry in names.take(MOST_NAMES).flatten() {
        let name = entry.file_name();
        if name.to_bytes().ends_with(SUFFIX.as_bytes()) && is_left_over(folder, name) {
            // Live readers' files are locked before they get a name, and no name is used twice, so this is still the
            // file that was unlocked.
            let _ = unlinkat(folder, name, AtFlags::empty());
        }
    }
}

fn is_left_over(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> bool {
    let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
        || stat.st_uid != geteuid().as_raw()
        || stat.st_size != FILE_SIZE as i64
    {
        return false;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let Ok(file) = openat(folder, name, flags, Mode::empty()) else { return false };
    !lock::is_write_locked(file.as_fd()).unwrap_or(true)
}
