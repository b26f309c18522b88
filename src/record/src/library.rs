//! All recordings of this process, and the thread that deletes the oldest of them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use vas_frame::CameraId;

use super::index::RecordingIndex;
use super::neighbors::{self, Trust};
use super::now_ns;
use super::recorder::Recorder;
use super::retention::{Holding, Kept, expired};
use super::stats::RecorderStats;
use vas_config::{Keep, Record};

/// How often is looked for what is to go. A second's recording is a fragment: `keep_free` should be many times
/// what all cameras record in this time.
const EVERY: Duration = Duration::from_secs(5);

/// Starts recorders, and deletes what they need no longer keep.
#[derive(Debug, Default)]
pub struct Library {
    shared: Arc<Shared>,
    /// Started with the first recorder.
    housekeeper: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// Woken when room is needed, and at the end.
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// One for each recorder that lives.
    indexes: Vec<Weak<RecordingIndex>>,
    room_needed: bool,
    stopped: bool,
}

impl Library {
    /// A recorder for a camera, and what it shows.
    ///
    /// # Errors
    /// When the system has no thread to give for the housekeeper.
    pub fn recorder(
        &self,
        camera: &CameraId,
        record: &Record,
    ) -> io::Result<(Recorder, Arc<RecorderStats>)> {
        let mut housekeeper = self.housekeeper.lock().unwrap_or_else(PoisonError::into_inner);
        if housekeeper.is_none() {
            let shared = Arc::clone(&self.shared);
            let builder = std::thread::Builder::new().name("vas-record".into());
            *housekeeper = Some(builder.spawn(move || shared.keep_house())?);
        }
        drop(housekeeper);
        let index = Arc::new(RecordingIndex::new(record.keep));
        let stats = Arc::new(RecorderStats::default());
        self.shared.lock().indexes.push(Arc::downgrade(&index));
        let shared = Arc::clone(&self.shared);
        let recorder = Recorder::new(camera.clone(), record.clone(), index, shared, &stats);
        Ok((recorder, stats))
    }

    /// Ends the housekeeper, after its recorders.
    pub fn stop(self) {
        self.shared.lock().stopped = true;
        self.shared.wake.notify_all();
        let housekeeper = self.housekeeper.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(housekeeper) = housekeeper {
            // A panic was told by the hook; nothing is left to do.
            let _ = housekeeper.join();
        }
    }
}

impl Shared {
    /// Asks for room on a disk soon.
    pub(super) fn need_room(&self) {
        self.lock().room_needed = true;
        self.wake.notify_all();
    }

    fn keep_house(&self) {
        let mut trust = Trust::default();
        loop {
            let mut inner = self.lock();
            if !inner.room_needed && !inner.stopped {
                inner = match self.wake.wait_timeout(inner, EVERY) {
                    Ok((inner, _)) => inner,
                    Err(poisoned) => poisoned.into_inner().0,
                };
            }
            if inner.stopped {
                return;
            }
            let room_needed = std::mem::take(&mut inner.room_needed);
            inner.indexes.retain(|index| index.strong_count() > 0);
            let indexes: Vec<_> = inner.indexes.iter().filter_map(Weak::upgrade).collect();
            // Deleting can take long, and recorders must not wait for it.
            drop(inner);
            let heeded =
                if room_needed { Neighbours::Ignore } else { Neighbours::Heed(&mut trust) };
            tidy(&indexes, now_ns(), heeded);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is done about cameras that other processes record on the same disks.
#[derive(Debug)]
pub(super) enum Neighbours<'a> {
    /// Each is trusted to delete its oldest recording, if that is older than ours, as long as it does.
    Heed(&'a mut Trust),
    /// A disk is full: there is no time for that.
    Ignore,
}

/// Deletes what is to go at `now_ns`.
pub(super) fn tidy(indexes: &[Arc<RecordingIndex>], now_ns: i64, neighbors: Neighbours<'_>) {
    let mut disks = Disks::default();
    let (mut ours, mut holdings) = (Vec::new(), Vec::new());
    for index in indexes {
        let Some((dir, recordings)) = index.look() else { continue };
        holdings.push(Holding { keep: index.keep, disk: disks.of(&dir), recordings });
        ours.push((index, dir));
    }
    if let Neighbours::Heed(trust) = neighbors {
        let folders: Vec<_> = ours.iter().map(|(_, dir)| dir.clone()).collect();
        let foreign = foreign(&folders, &holdings, &disks.free_bytes, trust, now_ns);
        holdings.extend(foreign);
    }
    let counts = expired(&holdings, &disks.free_bytes, now_ns);
    // What neighbors are to delete comes last, and is theirs.
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
                // Fails, as it should, when something else is in it.
                let _ = fs::remove_dir(dir.join(name.day()));
            }
        }
    }
}

/// The oldest recordings of cameras that other processes record beside `ours`, as if they asked for as much
/// room as we do; of those that are trusted to delete them where room is short.
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
        // Nobody has anything to delete while there is room.
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

/// Disks, by their device numbers.
#[derive(Debug, Default)]
struct Disks {
    places: BTreeMap<u64, usize>,
    free_bytes: Vec<u64>,
}

impl Disks {
    /// The disk that `dir` lies on; `None` when the system does not say how much is free there.
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
