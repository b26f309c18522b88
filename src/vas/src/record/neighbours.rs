//! Cameras whose recordings another process keeps: other shards of this service, or another service.
//!
//! `keep_free` is to take the oldest recording of all cameras on a disk, and a process deletes its own only.
//! Without a look at the others the one that looks first would make all the room, each time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::home::{LOCK, names};
use super::name::Name;

/// The oldest recording of a camera that another process records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Oldest {
    pub(super) name: Name,
    pub(super) bytes: u64,
}

/// The oldest of each camera in `dir` that is not among `ours` and that somebody records now. What can't be
/// read is left out: then there is one that we don't wait for.
pub(super) fn oldest(dir: &Path, ours: &[PathBuf]) -> Vec<Oldest> {
    let cameras = names(dir).unwrap_or_default().into_iter().map(|name| dir.join(name));
    let foreign = cameras.filter(|camera| !ours.contains(camera) && is_recorded(camera));
    foreign.filter_map(|camera| oldest_of(&camera)).collect()
}

/// Whether somebody holds the lock of a camera's folder.
fn is_recorded(camera: &Path) -> bool {
    let Ok(lock) = File::open(camera.join(LOCK)) else { return false };
    // Let go at once, with the file: who comes at this very moment finds it taken, and tries again.
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

fn oldest_of(camera: &Path) -> Option<Oldest> {
    let mut days = names(camera).ok()?;
    days.sort_unstable();
    days.into_iter().find_map(|day| {
        let files = names(&camera.join(&day)).ok()?;
        let closed = files.iter().filter_map(|file| Name::parse(&day, file));
        let name = closed.filter_map(|(name, closed)| closed.then_some(name)).min()?;
        let meta = fs::symlink_metadata(camera.join(name.path())).ok()?;
        meta.is_file().then_some(Oldest { name, bytes: meta.len() })
    })
}
