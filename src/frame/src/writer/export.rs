//! One camera's export: exclusion, epochs, and leaving nothing behind.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use memmap2::MmapRaw;
use rustix::fs::{
    AtFlags, FallocateFlags, FlockOperation, Mode, OFlags, fallocate, flock, fstat, mkdirat,
    openat, statat, unlinkat,
};
use rustix::io::Errno;

use super::admission;
use super::files::CameraDir;
use super::notifier::Notifier;
use super::options::RingOptions;
use super::ring::{Ring, RingWriter};
use super::root::{ExportRoot, check_ours};
use crate::camera_id::CameraId;
use crate::clock::{boottime_ns, monotonic_ns};
use crate::error::ExportError;
use crate::geometry::Geometry;
use crate::layout::{self, DATA_FILE, META_FILE, READERS_FILE, WRITER_FILE};
use crate::lock;
use crate::sync::Ordering;

/// How long a ring that a larger one replaced stays readable.
const RETIRED_GRACE_NS: u64 = 2_000_000_000;
/// When to look again while copies are in flight.
const IN_FLIGHT_RETRY_NS: u64 = 2_000_000;

/// A camera's directory, held against other writers as long as this lives; dropping it removes its files.
#[derive(Debug)]
pub struct CameraExport {
    camera: CameraId,
    root: Arc<ExportRoot>,
    notifier: Arc<Notifier>,
    dir: CameraDir,
    writer_lock: File,
    readers: File,
    incarnation: u64,
    next_epoch: u64,
    first_frame_id: u64,
    current: Option<Current>,
    retired: Vec<Retired>,
}

#[derive(Debug)]
struct Current {
    ring: Arc<Ring>,
    meta_file: File,
    data_file: Arc<File>,
}

#[derive(Debug)]
struct Retired {
    ring: Arc<Ring>,
    data_file: Arc<File>,
    punch_at_ns: u64,
}

/// What became of the wish for a ring.
#[derive(Debug)]
pub enum OpenRing {
    /// It is there, and its path names it.
    Ready(RingWriter),
    /// Readers hold promises, or copies are in flight: ask again at this time (`CLOCK_MONOTONIC`, ns).
    NotBefore(u64),
}

impl CameraExport {
    /// Takes a camera for this writer. No ring exists yet.
    ///
    /// What a dead writer left is removed; its pages are never used again.
    ///
    /// # Errors
    /// [`ExportError::Held`] names the writer that has the camera.
    pub fn claim(
        root: &Arc<ExportRoot>,
        camera: &CameraId,
        notifier: &Arc<Notifier>,
    ) -> Result<Self, ExportError> {
        let path = root.path().join(camera.as_str());
        let access = root.access();
        let fd = loop {
            match mkdirat(root.dir(), camera.as_str(), Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(ExportError::io("create", path, e)),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(root.dir(), camera.as_str(), flags, Mode::empty()) {
                Ok(fd) => break File::from(fd),
                // Another writer just left and took the directory with it.
                Err(Errno::NOENT) => {}
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let problem = "is a link or no directory".into();
                    return Err(ExportError::NotOurs { path, problem });
                }
                Err(e) => return Err(ExportError::io("open", path, e)),
            }
        };
        check_ours(&fd, &path)?;
        access.apply(fd.as_fd(), access.dir_mode(), &path)?;
        let dir = CameraDir { path, fd, access };
        let Some(writer_lock) = lock_writer(&dir, camera)? else {
            // The directory went away while we waited for its lock.
            return Self::claim(root, camera, notifier);
        };
        let readers = dir.open_or_create(READERS_FILE, access.file_mode())?;
        access.apply(readers.as_fd(), access.file_mode(), &dir.at(READERS_FILE))?;

        let last = last_words(&dir);
        dir.remove(META_FILE);
        dir.remove(DATA_FILE);
        dir.remove_temporaries(&[META_FILE, DATA_FILE]);
        let boot = boottime_ns();
        Ok(Self {
            camera: camera.clone(),
            root: Arc::clone(root),
            notifier: Arc::clone(notifier),
            dir,
            writer_lock,
            readers,
            incarnation: boot,
            // No camera opens a thousand epochs or shows a million frames a second, so these also
            // rise across a writer that left nothing behind.
            next_epoch: (boot / 1_000_000).max(last.epoch + 1),
            first_frame_id: (boot / 1_000).max(last.frame_id + 1),
            current: None,
            retired: Vec::new(),
        })
    }

    /// The camera.
    #[must_use]
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// Where this writer's frame ids begin: above every id of the camera's earlier writers.
    #[must_use]
    pub fn first_frame_id(&self) -> u64 {
        self.first_frame_id
    }

    /// Bytes that a ring takes.
    #[must_use]
    pub fn price(geometry: &Geometry, slots: u32) -> u64 {
        geometry.slot_stride() * u64::from(slots) + layout::meta_bytes(slots)
    }

    /// Opens the next epoch. The writer of the epoch before is to be dropped first.
    ///
    /// A ring that is large enough is used again, once its last lease has ended; otherwise new files take
    /// its place, and the old ring stays readable for a while. May block for as long as the system takes
    /// to allocate: not for the per-frame path.
    ///
    /// # Errors
    /// [`ExportError::Memory`] with the numbers when it does not fit.
    pub fn open_ring(
        &mut self,
        geometry: Geometry,
        options: RingOptions,
    ) -> Result<OpenRing, ExportError> {
        let need = geometry.slot_stride() * u64::from(options.slots);
        let mut reuse = None;
        if let Some(current) = &self.current
            && current.ring.data().len() as u64 >= need
        {
            if Arc::strong_count(&current.ring) > 1 {
                return Ok(OpenRing::NotBefore(monotonic_ns() + IN_FLIGHT_RETRY_NS));
            }
            let until = current.ring.leased_until_ns();
            if until > monotonic_ns() {
                return Ok(OpenRing::NotBefore(until));
            }
            reuse = Some((Arc::clone(current.ring.data()), Arc::clone(&current.data_file)));
        }
        let (data, data_file, new_data) = match reuse {
            Some((data, file)) => {
                self.supersede();
                (data, file, false)
            }
            None => {
                let (file, map) = self.allocate(need, options.slots)?;
                (Arc::new(map), Arc::new(file), true)
            }
        };
        let meta = self.create_meta(&geometry, options, &data, &data_file)?;
        if new_data {
            self.dir.install(DATA_FILE)?;
        }
        self.dir.install(META_FILE)?;
        self.supersede();
        self.next_epoch += 1;
        let ring = Arc::clone(&meta.ring);
        self.notifier.register(&ring);
        self.current = Some(meta);
        Ok(OpenRing::Ready(RingWriter::new(ring)))
    }

    fn allocate(&self, need: u64, slots: u32) -> Result<(File, MmapRaw), ExportError> {
        // One camera at a time, of any process: two that both fit alone need not fit together.
        let _turn = admission_turn(&self.root)?;
        let limits = admission::limits(self.root.path())?;
        admission::check(need + layout::meta_bytes(slots), &limits)?;
        self.dir.create(DATA_FILE, need)
    }

    fn create_meta(
        &self,
        geometry: &Geometry,
        options: RingOptions,
        data: &Arc<MmapRaw>,
        data_file: &Arc<File>,
    ) -> Result<Current, ExportError> {
        let inode = fstat(data_file.as_fd())
            .map_err(|e| ExportError::io("look at", self.dir.at(DATA_FILE), e))?
            .st_ino;
        let (file, map) = self.dir.create(META_FILE, layout::meta_bytes(options.slots))?;
        let path = self.dir.at(META_FILE);
        // Before the name exists, so that no reader can see it unlocked while we live.
        if !lock::try_write_lock(file.as_fd()).map_err(|e| ExportError::io("lock", &path, e))? {
            return Err(ExportError::Held {
                camera: self.camera.to_string(),
                holder: "somebody locked a file that was being created".into(),
            });
        }
        let meta_file = file.try_clone().map_err(|e| ExportError::io("share", &path, e))?;
        let ring = Ring::new(
            map,
            Arc::clone(data),
            file,
            *geometry,
            options.slots,
            options.lease_ns,
            self.notifier.bell(),
        );
        self.fill_header(&ring, options, inode);
        Ok(Current { ring: Arc::new(ring), meta_file, data_file: Arc::clone(data_file) })
    }

    fn fill_header(&self, ring: &Ring, options: RingOptions, data_inode: u64) {
        let relaxed = Ordering::Relaxed;
        let (h, g) = (ring.header(), ring.geometry());
        h.width.store(g.width(), relaxed);
        h.height.store(g.height(), relaxed);
        h.pixel_format.store(layout::PIXEL_FORMAT_NV12, relaxed);
        h.stride.store(g.stride(), relaxed);
        h.data_size.store(g.picture_bytes(), relaxed);
        h.layout_hash.store(layout::LAYOUT_HASH, relaxed);
        h.meta_size.store(layout::meta_bytes(options.slots), relaxed);
        h.header_size.store(size_of::<layout::Header>() as u32, relaxed);
        h.entry_size.store(size_of::<layout::Entry>() as u32, relaxed);
        h.slot_count.store(options.slots, relaxed);
        h.uv_offset.store(g.uv_offset(), relaxed);
        h.slot_stride.store(g.slot_stride(), relaxed);
        h.ring_size.store(g.slot_stride() * u64::from(options.slots), relaxed);
        h.data_inode.store(data_inode, relaxed);
        h.epoch.store(self.next_epoch, relaxed);
        h.incarnation.store(self.incarnation, relaxed);
        h.created_ns.store(monotonic_ns(), relaxed);
        h.lease_ns.store(options.lease_ns, relaxed);
        h.frame_rate_num.store(options.frame_rate.0, relaxed);
        h.frame_rate_den.store(options.frame_rate.1, relaxed);
        let colour = g.colour();
        h.color_range.store(colour.range as u32, relaxed);
        h.color_primaries.store(colour.primaries.into(), relaxed);
        h.color_transfer.store(colour.transfer.into(), relaxed);
        h.color_matrix.store(colour.matrix.into(), relaxed);
        h.chroma_location.store(colour.chroma_location.into(), relaxed);
        h.bit_depth.store(g.bit_depth().into(), relaxed);
        for (word, value) in h.camera_id.iter().zip(self.camera.to_words()) {
            word.store(value, relaxed);
        }
        h.copying.store(1, relaxed);
        h.state.store(layout::STATE_LIVE, relaxed);
        h.magic.store(layout::MAGIC, relaxed);
        // Last: a file without a version is no export. The rename that follows orders it for readers.
        h.version.store(layout::VERSION, Ordering::Release);
    }

    /// Ends the current epoch. Its readers look for the next one.
    fn supersede(&mut self) {
        let Some(current) = self.current.take() else { return };
        let shares_data = Arc::strong_count(current.ring.data()) > 1;
        if shares_data {
            // The pages go on under the next epoch, so no frame of this one may be read again.
            current.ring.invalidate();
            current.ring.close(layout::STATE_SUPERSEDED);
            return;
        }
        current.ring.close(layout::STATE_SUPERSEDED);
        self.retired.push(Retired {
            ring: current.ring,
            data_file: current.data_file,
            punch_at_ns: monotonic_ns() + RETIRED_GRACE_NS,
        });
    }

    /// Bytes of rings that a larger one replaced and that still hold memory.
    #[must_use]
    pub fn retired_bytes(&self) -> u64 {
        self.retired.iter().map(|retired| retired.ring.data().len() as u64).sum()
    }

    /// To be called about once a second: frees retired rings, and checks that the path still names what
    /// this writer holds. `false`: somebody removed it; drop this and claim the camera again.
    pub fn housekeep(&mut self) -> bool {
        let now = monotonic_ns();
        self.retired.retain(|retired| {
            let done = now >= retired.punch_at_ns
                && now >= retired.ring.leased_until_ns()
                && Arc::strong_count(&retired.ring) == 1;
            if done {
                free(retired);
            }
            !done
        });
        let here = statat(self.root.dir(), self.camera.as_str(), AtFlags::SYMLINK_NOFOLLOW);
        let held = fstat(&self.dir.fd);
        let same_dir = matches!((here, held), (Ok(a), Ok(b)) if a.st_ino == b.st_ino);
        let same_file = |name, file: &File| self.dir.names(name, file.as_fd());
        same_dir
            && same_file(WRITER_FILE, &self.writer_lock)
            && same_file(READERS_FILE, &self.readers)
            && self.current.as_ref().is_none_or(|current| {
                same_file(META_FILE, &current.meta_file) && same_file(DATA_FILE, &current.data_file)
            })
    }
}

/// Gives a retired ring's pages back, whoever still maps them.
fn free(retired: &Retired) {
    retired.ring.invalidate();
    let bytes = retired.ring.data().len() as u64;
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if let Err(e) = fallocate(&*retired.data_file, how, 0, bytes) {
        tracing::warn!("can't free a retired ring of {} MiB: {e}", bytes >> 20);
    }
}

impl Drop for CameraExport {
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            current.ring.close(layout::STATE_STOPPED);
        }
        // The directory last, and the writer's lock file last in it: who waits for it finds it unlinked
        // and starts over.
        for name in [META_FILE, DATA_FILE, READERS_FILE, WRITER_FILE] {
            self.dir.remove(name);
        }
        match unlinkat(self.root.dir(), self.camera.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::EXIST | Errno::NOTEMPTY) => {}
            Err(e) => tracing::warn!("can't remove {}: {e}", self.dir.path.display()),
        }
    }
}

/// Locks `.writer`; `None` when the file that was locked is no longer the one at its path.
fn lock_writer(dir: &CameraDir, camera: &CameraId) -> Result<Option<File>, ExportError> {
    let mut file = match dir.open_or_create(WRITER_FILE, Mode::RUSR | Mode::WUSR) {
        Err(ExportError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        other => other?,
    };
    let path = dir.at(WRITER_FILE);
    let locked =
        lock::try_write_lock(file.as_fd()).map_err(|e| ExportError::io("lock", &path, e))?;
    if !locked {
        let mut holder = String::new();
        // What the holder wrote is for people; if it can't be read, that is what people are told.
        let read = Read::by_ref(&mut file).take(512).read_to_string(&mut holder);
        if read.is_err() || holder.is_empty() {
            holder = "it did not say who it is".into();
        }
        let holder = holder.trim_end().to_owned();
        return Err(ExportError::Held { camera: camera.to_string(), holder });
    }
    if !dir.names(WRITER_FILE, file.as_fd()) {
        return Ok(None);
    }
    let pid = rustix::process::getpid();
    let words = format!("process {pid}, vas-frame {}\n", env!("CARGO_PKG_VERSION"));
    let told = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(words.as_bytes()));
    told.map_err(|e| ExportError::io("write", &path, e))?;
    Ok(Some(file))
}

/// Waits for this process's turn to promise memory. Released when the file closes.
fn admission_turn(root: &ExportRoot) -> Result<File, ExportError> {
    let describe = |e| ExportError::io("take the admission turn in", root.path(), e);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir: File = openat(root.dir(), ".", flags, Mode::empty()).map_err(describe)?.into();
    // Whoever may read the directory may hold this lock for ever: it is a courtesy between writers, and
    // not worth waiting long for.
    for _ in 0..100 {
        match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(dir),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(e) => return Err(describe(e)),
        }
    }
    tracing::warn!(
        "somebody has held {} locked for a second: admitting a ring without waiting longer",
        root.path().display()
    );
    Ok(dir)
}

/// What the camera's last writer came to.
#[derive(Default)]
struct LastWords {
    epoch: u64,
    frame_id: u64,
}

/// Reads the last epoch and frame id from a file that a dead writer left; nothing where it is not sound.
fn last_words(dir: &CameraDir) -> LastWords {
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(file) = openat(&dir.fd, META_FILE, flags, Mode::empty()) else {
        return LastWords::default();
    };
    let mut header = [0u8; size_of::<layout::Header>()];
    if File::from(file).read_exact(&mut header).is_err() || word(&header, 64) != layout::MAGIC {
        return LastWords::default();
    }
    // A value near the top would leave no room above it; no honest writer gets there.
    let sane = |value: u64| if value < u64::MAX >> 8 { value } else { 0 };
    // A claimed frame may have been numbered and never published.
    let slack = u64::from(layout::MAX_SLOTS);
    LastWords { epoch: sane(word(&header, 128)), frame_id: sane(word(&header, 8)) + slack }
}
