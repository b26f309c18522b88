//! Deletes the oldest recordings, by the config's limits and the disks' free space.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use vas_config::Keep;
use vas_threads::StopRequest;

use super::index::RecordingIndex;
use super::neighbors::{self, Trust};
use super::retention::{Holding, Kept, expired, now_ns};

/// How often to look for expired recordings. One second of recording is a fragment: `keep_free`
/// should be many times what all cameras record in this time.
/// what all cameras record in this time.
const EVERY: Duration = Duration::from_secs(5);

/// The recordings of this process, and whether room is needed.
#[derive(Debug, Default)]
pub(super) struct Housekeeping {
    /// One for each live recorder.
    indexes: Mutex<Vec<Weak<RecordingIndex>>>,
    room_needed: AtomicBool,
    /// The housekeeper, once it has been started.
    thread: OnceLock<Thread>,
}

impl Housekeeping {
    /// Sets the thread that runs this, so that it can be woken.
    pub(super) fn is_run_by(&self, thread: &Thread) {
        let _ = self.thread.set(thread.clone());
    }

    /// Also maintains these recordings, as long as they exist.
    pub(super) fn add(&self, index: &Arc<RecordingIndex>) {
        self.indexes().push(Arc::downgrade(index));
    }

    /// Requests room on a disk soon.
    pub(super) fn need_room(&self) {
        self.room_needed.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// The thread's loop.
    pub(super) fn run(&self, stop: &StopRequest) {
        let mut trust = Trust::default();
        loop {
            // Requests for room and stop requests unpark after they are set, so a park that follows
            // returns at once.
            let until = Instant::now() + EVERY;
            while !stop.is_made() && !self.room_needed.load(Ordering::SeqCst) {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                std::thread::park_timeout(left);
            }
            if stop.is_made() {
                return;
            }
            let room_needed = self.room_needed.swap(false, Ordering::SeqCst);
            let mut indexes = self.indexes();
            indexes.retain(|index| index.strong_count() > 0);
            let living: Vec<_> = indexes.iter().filter_map(Weak::upgrade).collect();
            // Deleting can take long, and recorders must not wait for it.
            drop(indexes);
            let heeded = if room_needed { Neighbors::Ignore } else { Neighbors::Heed(&mut trust) };
            tidy(&living, now_ns(), heeded);
        }
    }

    fn indexes(&self) -> MutexGuard<'_, Vec<Weak<RecordingIndex>>> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How cameras that other processes record on the same disks are taken into account.
#[derive(Debug)]
pub(super) enum Neighbors<'a> {
    /// Each is trusted to delete its oldest recording, if that is older than ours, as long as it
    /// does so.
    Heed(&'a mut Trust),
    /// A disk is full: there is no time to wait for others.
    Ignore,
}

/// Deletes what has expired at `now_ns`.
pub(super) fn tidy(indexes: &[Arc<RecordingIndex>], now_ns: i64, neighbors: Neighbors<'_>) {
    let mut disks = Disks::default();
    let (mut ours, mut holdings) = (Vec::new(), Vec::new());
    for index in indexes {
        let Some((dir, recordings)) = index.look() else { continue };
        holdings.push(Holding { keep: index.keep, disk: disks.of(&dir), recordings });
        ours.push((index, dir));
    }
    if let Neighbors::Heed(trust) = neighbors {
        let folders: Vec<_> = ours.iter().map(|(_, dir)| dir.clone()).collect();
        let foreign = foreign(&folders, &holdings, &disks.free_bytes, trust, now_ns);
        holdings.extend(foreign);
    }
    let counts = expired(&holdings, &disks.free_bytes, now_ns);
    // The neighbors' recordings come last; they delete those themselves.
    for ((index, dir), count) in ours.into_iter().zip(counts) {
        for _ in 0..count {
            let Some(name) = index.first() else { break };
            let path = dir.join(name.path());
            match fs::remove_file(&path) {
                Ok(()) => tracing::debug!("deleted {}", path.display()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!("can't delete {}: {error}", path.display());
                    break;
                }
            }
            if index.removed(name) {
                // Fails, as it should, when the folder holds anything else.
                let _ = fs::remove_dir(dir.join(name.day()));
            }
        }
    }
}

/// The oldest recordings of cameras that other processes record beside `ours`, as if they asked for
/// as much room as we do; only of those that are trusted to delete them where room is short.
fn foreign(
    ours: &[PathBuf],
    holdings: &[Holding],
    free_bytes: &[u64],
    trust: &mut Trust,
    now_ns: i64,
) -> Vec<Holding> {
    let mut asked = BTreeMap::new();
    for (dir, holding) in ours.iter().zip(holdings).filter(|(_, it)| it.keep.free_bytes > 0) {
        let Some(root) = dir.parent() else { continue };
        let most = asked.entry(root).or_insert((holding.disk, 0));
        most.1 = holding.keep.free_bytes.max(most.1);
    }
    let now = jiff::Timestamp::now();
    let mut foreign = Vec::new();
    let mut short = Vec::new();
    for (root, (disk, asked_bytes)) in asked {
        // Nothing is deleted while there is room.
        let free = disk.and_then(|disk| free_bytes.get(disk));
        if free.is_none_or(|free| *free >= asked_bytes) {
            continue;
        }
        for oldest in neighbors::oldest(root, ours) {
            if trust.deserves(&oldest, now_ns) {
                let began_ns = now_ns.saturating_sub(oldest.name.age_ns(now).max(0));
                let recordings = vec![Kept { began_ns, bytes: oldest.bytes }];
                let keep = Keep { time: None, bytes: None, free_bytes: asked_bytes };
                foreign.push(Holding { keep, disk, recordings });
            }
            short.push(oldest.camera);
        }
    }
    trust.keep_only(&short);
    foreign
}

/// Disks, by device number.
#[derive(Debug, Default)]
struct Disks {
    places: BTreeMap<u64, usize>,
    free_bytes: Vec<u64>,
}

impl Disks {
    /// The disk that holds `dir`; `None` when the system does not report its free space.
    fn of(&mut self, dir: &Path) -> Option<usize> {
        let device = fs::metadata(dir).ok()?.dev();
        if let Some(&place) = self.places.get(&device) {
            return Some(place);
        }
        let stat = rustix::fs::statvfs(dir).ok()?;
        self.free_bytes.push(stat.f_bavail.saturating_mul(stat.f_frsize));
        self.places.insert(device, self.free_bytes.len() - 1);
        Some(self.free_bytes.len() - 1)
    }
}
