//! Cameras recorded by another process: other shards of this service, or another service.
//!
//! `keep_free` takes the oldest recording of all cameras on a disk, but a process deletes only its
//! own. If none looked at the others, the one that checks first would make all the room, each time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::camera_dir::{LOCK, names};
use super::name::Name;

/// How long a neighbor's oldest recording may stay while room is short before we stop expecting its
/// deletion: twice a service's check interval, and some.
const PATIENCE_NS: i64 = 12_000_000_000;

/// The oldest recording of a camera that another process records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Oldest {
    /// The camera's folder.
    pub(super) camera: PathBuf,
    pub(super) name: Name,
    pub(super) bytes: u64,
}

/// The oldest recording of each camera in `dir` that is not among `ours` and is being recorded now.
/// Unreadable ones are left out: we don't wait for those.
pub(super) fn oldest(dir: &Path, ours: &[PathBuf]) -> Vec<Oldest> {
    let cameras = names(dir).unwrap_or_default().into_iter().map(|name| dir.join(name));
    let foreign = cameras.filter(|camera| !ours.contains(camera) && is_recorded(camera));
    foreign.filter_map(|camera| oldest_of(&camera)).collect()
}

/// Whether a camera's folder is locked.
fn is_recorded(camera: &Path) -> bool {
    let Ok(lock) = File::open(camera.join(LOCK)) else { return false };
    // Released at once, with the file: a recorder that comes at this very moment finds it locked
    // and retries.
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
        let camera = camera.to_owned();
        meta.is_file().then_some(Oldest { camera, name, bytes: meta.len() })
    })
}

/// Which neighbors delete their oldest recordings where room is short. One that asks for less room
/// than we do, or for none, or that hangs, does not; waiting for it would let the disk fill up.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// For each camera's folder its oldest recording, and since when it has been the oldest while
    /// room was short.
    stayed: BTreeMap<PathBuf, (Name, i64)>,
}

impl Trust {
    /// Whether its owner is likely to delete this one, now that room is short.
    pub(super) fn deserves(&mut self, oldest: &Oldest, now_ns: i64) -> bool {
        let seen = self.stayed.entry(oldest.camera.clone()).or_insert((oldest.name, now_ns));
        if seen.0 != oldest.name {
            *seen = (oldest.name, now_ns);
        }
        now_ns.saturating_sub(seen.1) < PATIENCE_NS
    }

    /// Forgets all but these: the others' disks have room again, so they had nothing to delete.
    pub(super) fn keep_only(&mut self, cameras: &[PathBuf]) {
        self.stayed.retain(|camera, _| cameras.contains(camera));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn oldest(camera: &str, began: &str) -> Oldest {
        let name = Name::of(began.parse().unwrap()).unwrap();
        Oldest { camera: camera.into(), name, bytes: 1 }
    }

    #[test]
    fn whose_oldest_stays_where_room_is_short_is_not_waited_for() {
        let mut trust = Trust::default();
        let (first, next) =
            (oldest("a", "2026-11-25T10:00:00Z"), oldest("a", "2026-11-25T11:00:00Z"));
        assert!(trust.deserves(&first, 0) && trust.deserves(&first, 10 * SECOND));
        assert!(trust.deserves(&oldest("b", "2026-11-25T10:00:00Z"), 12 * SECOND));
        assert!(!trust.deserves(&first, 12 * SECOND));
        // It has deleted one: it is trusted again.
        assert!(trust.deserves(&next, 15 * SECOND) && !trust.deserves(&next, 30 * SECOND));
        // There was room meanwhile: no reason to delete anything.
        trust.keep_only(&["b".into()]);
        assert!(trust.deserves(&next, 90 * SECOND));
        assert!(!trust.deserves(&oldest("b", "2026-11-25T10:00:00Z"), 90 * SECOND));
    }
}
