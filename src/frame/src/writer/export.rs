//! One camera's export: exclusion, epochs and cleanup.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, fstat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::access::check_ours;
use super::admission;
use super::exclusion::{self, AdmissionTurn};
use super::files::Folder;
use super::notifier::Notifier;
use super::options::{FrameRate, RingOptions};
use super::pages::Mapping;
use super::predecessor::LastWords;
use super::retired::{HELD_NS, Retired};
use super::ring::{Ring, RingWriter};
use super::root::ExportRoot;
use super::watcher::{Watch, Watcher};
use crate::camera_id::CameraId;
use crate::clock::{boottime_ns, monotonic_ns};
use crate::demand::Demanded;
use crate::error::{ExportError, OwnerProblem};
use crate::geometry::Geometry;
use crate::layout::{self, DATA_FILE, META_FILE, READERS_FILE, WRITER_FILE};
use crate::lock;
use crate::sync::Ordering;

/// A camera's directory, locked against other writers as long as this lives; dropping it removes the
/// files.
#[derive(Debug)]
pub struct CameraExport {
    camera: CameraId,
    root: Arc<ExportRoot>,
    notifier: Arc<Notifier>,
    dir: Folder,
    writer_lock: File,
    readers: File,
    incarnation: u64,
    next_epoch: u64,
    first_frame_id: u64,
    current: Option<Current>,
    /// The installed `frame.meta`. Its lock shows that this writer is alive, also between two
    /// epochs.
    named_meta: Option<File>,
    retired: Retired,
}

#[derive(Debug)]
struct Current {
    ring: Arc<Ring>,
    data_file: Arc<File>,
    /// Since when the next epoch waits for copies in flight.
    waits_since_ns: Option<u64>,
}

impl Current {
    /// This ring's pages, for the next epoch.
    fn pages(&self) -> Pages {
        match self.ring.unused_at(monotonic_ns()) {
            Ok(()) => Pages::Ready(Arc::clone(self.ring.data()), Arc::clone(&self.data_file)),
            Err(at_ns) => Pages::NotBefore(at_ns),
        }
    }

    /// Whether the next epoch has waited too long for a copy in flight: it may never end.
    fn is_held(&mut self) -> bool {
        if self.ring.is_at_rest() {
            self.waits_since_ns = None;
            return false;
        }
        let now_ns = monotonic_ns();
        now_ns - *self.waits_since_ns.get_or_insert(now_ns) > HELD_NS
    }

    /// The bytes that are free once its leases end.
    fn bytes_to_free(&mut self) -> u64 {
        if self.is_held() { 0 } else { self.ring.data().len() as u64 }
    }
}

/// The outcome of a request for pages.
enum Pages {
    /// Allocated and mapped.
    Ready(Arc<Mapping>, Arc<File>),
    /// Not possible before this time (`CLOCK_MONOTONIC`, ns).
    NotBefore(u64),
}

/// The outcome of [`CameraExport::open_ring`].
#[derive(Debug)]
pub enum OpenRing {
    /// The ring is open and installed at its path.
    Ready(RingWriter),
    /// Leases have not ended, or copies are in flight: retry at this time (`CLOCK_MONOTONIC`, ns).
    NotBefore(u64),
}

impl CameraExport {
    /// Claims a camera for this writer. No ring exists yet.
    ///
    /// Files of a dead writer are removed; their pages are never reused.
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
                // Another writer has just stopped and removed the directory.
                Err(Errno::NOENT) => {}
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let problem = OwnerProblem::NoDirectory;
                    return Err(ExportError::NotOurs { path, problem });
                }
                Err(e) => return Err(ExportError::io("open", path, e)),
            }
        };
        check_ours(&fd, &path)?;
        access.apply(fd.as_fd(), access.dir_mode(), &path)?;
        let dir = Folder { path, fd, access };
        let Some(writer_lock) = exclusion::lock_camera(&dir, camera)? else {
            // The directory was removed during the wait for its lock.
            return Self::claim(root, camera, notifier);
        };
        let readers = dir.open_or_create(READERS_FILE, access.file_mode())?;
        access.apply(readers.as_fd(), access.file_mode(), &dir.at(READERS_FILE))?;

        let last = LastWords::read(&dir);
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
            // No camera opens a million epochs or publishes a million frames per second, so ids
            // from the clock also rise across a writer that left no files.
            next_epoch: (boot / 1_000).max(last.epoch + 1),
            first_frame_id: (boot / 1_000).max(last.frame_id + 1),
            current: None,
            named_meta: None,
            retired: Retired::default(),
        })
    }

    /// The camera.
    #[must_use]
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// The first frame id for this writer: above every id of the camera's earlier writers.
    #[must_use]
    pub fn first_frame_id(&self) -> u64 {
        self.first_frame_id
    }

    /// The readers' demand, from their locks on `readers`. This only queries the kernel; dead readers
    /// hold no locks.
    ///
    /// If the query fails, the result is [`Demanded::EveryFrame`].
    #[must_use]
    pub fn demanded(&self) -> Demanded {
        Demanded::read(self.readers.as_fd()).unwrap_or(Demanded::EveryFrame)
    }

    /// Watches for readers that come and go: [`WatchEvent::Readers`](crate::WatchEvent::Readers).
    ///
    /// # Errors
    /// When the user has as many watches as it may have (`fs.inotify.max_user_watches`), or there is no `/proc`.
    pub fn watch_readers(&self, watcher: &Arc<Watcher>) -> io::Result<Watch> {
        watcher.add_readers(self.readers.as_fd())
    }

    /// Watches for files that others remove: [`WatchEvent::Files`](crate::WatchEvent::Files). It is then time for
    /// [`housekeep`](Self::housekeep).
    ///
    /// # Errors
    /// As [`watch_readers`](Self::watch_readers).
    pub fn watch_files(&self, watcher: &Arc<Watcher>) -> io::Result<Watch> {
        watcher.add_directory(self.dir.fd.as_fd())
    }

    /// Opens the next epoch. Drop the previous epoch's [`RingWriter`] first.
    ///
    /// A ring that is large enough is reused once its last lease has ended; otherwise new files replace
    /// it, and the old ring stays readable for a while. May block for as long as the system takes to
    /// allocate: not for the per-frame path.
    ///
    /// # Errors
    /// [`ExportError::Memory`], with the bytes needed and free, if the ring does not fit.
    pub fn open_ring(
        &mut self,
        geometry: Geometry,
        options: RingOptions,
    ) -> Result<OpenRing, ExportError> {
        let opened = self.try_open_ring(geometry, options);
        if opened.is_err() {
            // A partly created ring is useless and holds memory.
            self.dir.remove_temporaries(&[META_FILE, DATA_FILE]);
        }
        opened
    }

    fn try_open_ring(
        &mut self,
        geometry: Geometry,
        options: RingOptions,
    ) -> Result<OpenRing, ExportError> {
        let need = geometry.slot_stride() * u64::from(options.slots);
        // Pages that a hanging copy holds are left to it.
        let held = self.current.as_mut().is_some_and(Current::is_held);
        let pages = match &self.current {
            Some(current) if current.ring.data().len() as u64 >= need && !held => current.pages(),
            _ => self.allocate(need, options.slots)?,
        };
        let (data, data_file) = match pages {
            Pages::Ready(data, file) => (data, file),
            Pages::NotBefore(at_ns) => return Ok(OpenRing::NotBefore(at_ns)),
        };
        let (next, meta_file) = self.create_meta(&geometry, options, &data, &data_file)?;
        if let Some(current) = self.current.take_if(|c| Arc::ptr_eq(c.ring.data(), &data)) {
            // Its pages continue under another epoch, so no frame of this one may be read any more.
            current.ring.invalidate();
            current.ring.close(layout::STATE_SUPERSEDED);
        } else {
            self.dir.install(DATA_FILE, &data_file)?;
        }
        self.dir.install(META_FILE, &meta_file)?;
        self.named_meta = Some(meta_file);
        self.supersede();
        self.next_epoch += 1;
        let ring = Arc::clone(&next.ring);
        self.notifier.register(&ring);
        self.current = Some(next);
        Ok(OpenRing::Ready(RingWriter::new(ring)))
    }

    /// Allocates a ring's pages; frees older rings if it must.
    fn allocate(&mut self, need: u64, slots: u32) -> Result<Pages, ExportError> {
        // One camera at a time, across processes: two rings that each fit may not fit together.
        let _turn = AdmissionTurn::take(self.root.folder())?;
        if let Err(at_ns) = self.retired.shrink_to(Retired::MAX_BYTES, monotonic_ns()) {
            return Ok(Pages::NotBefore(at_ns));
        }
        let promised = need + layout::meta_bytes(slots);
        if let Err(shortage) = self.admit(promised) {
            // Older rings are useful only to their readers, and only until their leases end.
            // What a hanging copy holds is not theirs to free.
            let current = self.current.as_mut().map_or(0, Current::bytes_to_free);
            let to_free = current + self.retired.bytes_to_free(monotonic_ns());
            self.admit(promised.saturating_sub(to_free)).map_err(|_| shortage)?;
            if let Err(at_ns) = self.give_up(monotonic_ns()) {
                return Ok(Pages::NotBefore(at_ns));
            }
            self.admit(promised)?;
        }
        let (file, mapping) = self.dir.create_data(need)?;
        Ok(Pages::Ready(Arc::new(mapping), Arc::new(file)))
    }

    fn admit(&self, bytes: u64) -> Result<(), ExportError> {
        Ok(admission::check_memory(bytes, &admission::memory_limits(self.root.path())?)?)
    }

    /// Frees every ring but those that a hanging copy holds; the error is the time to retry.
    fn give_up(&mut self, now_ns: u64) -> Result<(), u64> {
        if !self.current.as_mut().is_some_and(Current::is_held) {
            self.unused_at(now_ns)?;
        }
        self.supersede();
        self.retired.shrink_to(0, now_ns)
    }

    /// Whether nothing uses the current ring; the error is the time to retry.
    fn unused_at(&self, now_ns: u64) -> Result<(), u64> {
        self.current.as_ref().map_or(Ok(()), |current| current.ring.unused_at(now_ns))
    }

    fn create_meta(
        &self,
        geometry: &Geometry,
        options: RingOptions,
        data: &Arc<Mapping>,
        data_file: &Arc<File>,
    ) -> Result<(Current, File), ExportError> {
        let inode = fstat(data_file.as_fd())
            .map_err(|e| ExportError::io("look at", self.dir.at(DATA_FILE), e))?
            .st_ino;
        let (file, map) = self.dir.create_meta(layout::meta_bytes(options.slots))?;
        let path = self.dir.at(META_FILE);
        // Before readers can open it: no reader sees it unlocked while this writer lives, and none
        // can hold a lock on it.
        if !lock::try_write_lock(file.as_fd()).map_err(|e| ExportError::io("lock", &path, e))? {
            return Err(ExportError::Held {
                camera: self.camera.clone(),
                holder: "unknown: it locked a file that was being created".into(),
            });
        }
        let meta_file = file.try_clone().map_err(|e| ExportError::io("share", &path, e))?;
        let ring = Ring::new(
            map,
            Arc::clone(data),
            file,
            *geometry,
            options.slots,
            options.lease_ns(),
            self.notifier.handle(),
        );
        self.fill_header(&ring, options, inode);
        let current = Current {
            ring: Arc::new(ring),
            data_file: Arc::clone(data_file),
            waits_since_ns: None,
        };
        Ok((current, meta_file))
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
        let rate = options.frame_rate.unwrap_or(FrameRate { num: 0, den: 1 });
        h.lease_ns.store(options.lease_ns(), relaxed);
        h.frame_rate_num.store(rate.num, relaxed);
        h.frame_rate_den.store(rate.den, relaxed);
        let color = g.color();
        h.color_range.store(color.range as u32, relaxed);
        h.color_primaries.store(color.primaries.into(), relaxed);
        h.color_transfer.store(color.transfer.into(), relaxed);
        h.color_matrix.store(color.matrix.into(), relaxed);
        h.chroma_location.store(color.chroma_location.into(), relaxed);
        h.bit_depth.store(g.bit_depth().into(), relaxed);
        for (word, value) in h.camera_id.iter().zip(self.camera.to_words()) {
            word.store(value, relaxed);
        }
        h.state.store(layout::STATE_LIVE, relaxed);
        h.magic.store(layout::MAGIC, relaxed);
        // Last: a file without a version is not an export. The rename that follows orders it for
        // readers.
        h.version.store(layout::VERSION, Ordering::Release);
    }

    /// Ends the current epoch. Its readers then open the next one.
    fn supersede(&mut self) {
        let Some(current) = self.current.take() else { return };
        current.ring.close(layout::STATE_SUPERSEDED);
        self.retired.add(current.ring, current.data_file, monotonic_ns(), current.waits_since_ns);
    }

    /// Bytes still held by rings that a larger one replaced.
    #[must_use]
    pub fn retired_bytes(&self) -> u64 {
        self.retired.bytes()
    }

    /// Pauses the ring if no frame was published for `quiet`: readers that attach later then get none from
    /// before, as after [`RingWriter::pause`]. Returns when that will be so (`CLOCK_MONOTONIC`, ns) if nothing is
    /// published until then; `None` while the ring is paused.
    pub fn pause_if_quiet(&self, now_ns: u64, quiet: Duration) -> Option<u64> {
        self.current.as_ref().and_then(|current| current.ring.pause_if_quiet(now_ns, quiet))
    }

    /// Frees retired rings, and checks that the paths still refer to this writer's files. `false` means that they
    /// were removed: drop this and claim the camera again.
    ///
    /// Call this about once per second while there are [retired bytes](Self::retired_bytes), and when
    /// [`watch_files`](Self::watch_files) notifies. Not every removal does, so call it from time to time, too.
    pub fn housekeep(&mut self) -> bool {
        self.retired.sweep(monotonic_ns());
        let here = statat(self.root.dir(), self.camera.as_str(), AtFlags::SYMLINK_NOFOLLOW);
        let held = fstat(&self.dir.fd);
        let same_dir = matches!((here, held), (Ok(a), Ok(b)) if a.st_ino == b.st_ino);
        let same_file = |name, file: &File| self.dir.names(name, file.as_fd());
        self.root.is_there()
            && same_dir
            && same_file(WRITER_FILE, &self.writer_lock)
            && same_file(READERS_FILE, &self.readers)
            && self.named_meta.as_ref().is_none_or(|file| same_file(META_FILE, file))
            && self.current.as_ref().is_none_or(|c| same_file(DATA_FILE, &c.data_file))
    }
}

impl Drop for CameraExport {
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            current.ring.close(layout::STATE_STOPPED);
        }
        // The directory goes last, and the writer's lock file last in it: a writer that waits for the lock
        // finds the file unlinked and starts over. A writer whose lock file was removed may have lost the
        // camera to another, and removes nothing.
        if self.dir.names(WRITER_FILE, self.writer_lock.as_fd()) {
            for name in [META_FILE, DATA_FILE, READERS_FILE, WRITER_FILE] {
                self.dir.remove(name);
            }
        }
        match unlinkat(self.root.dir(), self.camera.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::EXIST | Errno::NOTEMPTY) => {}
            Err(e) => tracing::warn!("can't remove {}: {e}", self.dir.path.display()),
        }
    }
}
