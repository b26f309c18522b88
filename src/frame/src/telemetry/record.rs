//! A reader's own file: written by this process alone, and never read here.
//!
//! House rules. The mapping is shared and writable, of a file that was created, filled and locked before it got a
//! name, so its pages are allocated: no store faults for want of memory. Only atomics are stored. All but
//! `overwritten` is stored by the reader, of which there is one (`&mut self`); `overwritten` by any thread that has a
//! frame. After `fork` the child has the mapping too: each store is preceded by the check that this is not the child.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapMut, MmapOptions, MmapRaw};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, fchmod, fstat, fstatfs, linkat, open, openat, statat,
};
use rustix::io::Errno;
use rustix::mm::{Advice, madvise};

use super::ages::bucket_of;
use super::layout::{
    FILE_SIZE, Header, Layout, MAGIC, SUFFIX, VERSION, WINDOW_NS, WINDOWS, Window, padded,
};
use super::sweep::sweep;
use crate::camera_id::CameraId;
use crate::clock::monotonic_ns;
use crate::demand::MaxFps;
use crate::error::OpenError;
use crate::lock;
use crate::reader::Mapped;

/// Readable by the service, which runs as another user; the directory's mode says who gets that far.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
/// `TMPFS_MAGIC` of `linux/magic.h`.
const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Names that are tried; each differs in its number.
const MOST_NAMES: u32 = 16;

/// What a reader states about itself once.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) camera: &'a CameraId,
    pub(crate) name: &'a str,
    pub(crate) max_fps: Option<MaxFps>,
}

/// A reader's file. Dropping this removes it.
#[derive(Debug)]
pub(crate) struct Telemetry {
    page: Arc<Page>,
    path: PathBuf,
    /// Holds the lock that tells a live reader's file from one that was left behind.
    file: File,
    /// Id of the frame last counted; 0 before the first.
    last_frame_id: u64,
    /// Frames missed before the one that is counted next.
    missed: u64,
    /// Of `overwritten`, how many the windows have.
    overwritten_seen: u64,
    window: usize,
    window_start_ns: u64,
}

impl Telemetry {
    /// Creates the reader's file. `None` if there is no such directory.
    ///
    /// # Errors
    /// The directory is not on tmpfs, or a system call failed.
    pub(crate) fn open(dir: &Path, identity: &Identity<'_>) -> Result<Option<Self>, OpenError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = match open(dir, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(OpenError::io("open", dir, e)),
        };
        // A disk would be written to every few seconds, and its errors are SIGBUS here.
        let fs = fstatfs(&folder).map_err(|e| OpenError::io("look at", dir, e))?;
        if fs.f_type as u64 != TMPFS_MAGIC {
            return Err(OpenError::io("use", dir, std::io::Error::other("it is not on tmpfs")));
        }
        sweep(folder.as_fd());
        // Nameless until it is complete and locked: nobody sees less than all of it, and an unlocked file is always
        // a dead reader's.
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let failed = |action| move |e: Errno| OpenError::io(action, dir, e);
        let file: File =
            openat(&folder, c".", flags, FILE_MODE).map_err(failed("create a file in"))?.into();
        // Regardless of the umask.
        fchmod(&file, FILE_MODE).map_err(failed("set the mode of a file in"))?;
        let opened_ns = monotonic_ns();
        let failed = |action| move |e| OpenError::Io { action, path: dir.into(), error: e };
        file.write_all_at(&image(identity, opened_ns), 0).map_err(failed("write a file in"))?;
        lock::try_write_lock(file.as_fd()).map_err(failed("lock a file in"))?;
        let page = Page::map(&file).map_err(failed("map a file in"))?;
        let path = name(&folder, &file, dir, opened_ns)?;
        Ok(Some(Self {
            page: Arc::new(page),
            path,
            file,
            last_frame_id: 0,
            missed: 0,
            overwritten_seen: 0,
            window: WINDOWS - 1,
            window_start_ns: 0,
        }))
    }

    /// What frames count failed copies in.
    pub(crate) fn page(&self) -> &Arc<Page> {
        &self.page
    }

    /// Counts what was missed before the frame `id`, for a caller that wants each frame after the one with the id
    /// `cursor`. [`taken`](Self::taken) follows.
    pub(crate) fn expected_after(&mut self, cursor: u64, ring: &Mapped, id: u64) {
        // A gap in the ids alone proves nothing, since frames are also left out. Before the first frame, and where the
        // caller moved the cursor, no frame was expected.
        if cursor != 0 && cursor == self.last_frame_id && id > cursor {
            self.missed = ring.known_between(cursor, id);
        }
    }

    /// Counts a frame that is about to be returned. A frame that is returned again counts once.
    pub(crate) fn taken(&mut self, frame_id: u64, arrival_ns: u64) {
        if frame_id == self.last_frame_id || !self.page.is_ours() {
            return;
        }
        self.last_frame_id = frame_id;
        let now_ns = monotonic_ns();
        let Layout { header, windows } = self.page.layout();
        let odd = header.sequence.load(Ordering::Relaxed) | 1;
        header.sequence.store(odd, Ordering::Relaxed);
        // Partner: the acquire fence behind the service's read of the bytes (`scan`). Whoever sees one of the stores
        // that follow sees the odd sequence.
        fence(Ordering::Release);
        if now_ns.saturating_sub(self.window_start_ns) >= WINDOW_NS {
            self.window = (self.window + 1) % WINDOWS;
            self.window_start_ns = now_ns;
            begin(&windows[self.window], now_ns);
        }
        let window = &windows[self.window];
        add(&header.taken, 1);
        add(&window.taken, 1);
        let missed = std::mem::take(&mut self.missed);
        if missed != 0 {
            add(&header.missed, missed);
            add(&window.missed, missed);
        }
        let overwritten = header.overwritten.load(Ordering::Relaxed);
        if overwritten != self.overwritten_seen {
            add(&window.overwritten, overwritten.wrapping_sub(self.overwritten_seen));
            self.overwritten_seen = overwritten;
        }
        header.last_frame_id.store(frame_id, Ordering::Relaxed);
        header.last_taken_ns.store(now_ns, Ordering::Relaxed);
        let bucket = &window.ages[bucket_of(now_ns.saturating_sub(arrival_ns))];
        bucket.store(bucket.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        // Partner: the acquire fence between the service's reads of the sequence and of the bytes.
        header.sequence.store(odd.wrapping_add(1), Ordering::Release);
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // A child of `fork` has the same file, which is still in use.
        if !self.page.is_ours() {
            return;
        }
        let named = statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW);
        if let (Ok(named), Ok(held)) = (named, fstat(&self.file))
            && (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)
        {
            // If it can't be removed, the next reader of this user does.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The only thread that stores into the counter adds to it, without a locked instruction.
fn add(counter: &AtomicU64, by: u64) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(by);
    counter.store(sum, Ordering::Relaxed);
}

/// Empties a window.
#[cold]
fn begin(window: &Window, now_ns: u64) {
    window.start_ns.store(now_ns, Ordering::Relaxed);
    for counter in [&window.taken, &window.missed, &window.overwritten] {
        counter.store(0, Ordering::Relaxed);
    }
    window.ages.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
}

/// The bytes of a new file.
fn image(identity: &Identity<'_>, opened_ns: u64) -> [u8; FILE_SIZE] {
    use std::mem::offset_of;

    let program = std::env::args_os().next().map(PathBuf::from);
    let program = program.as_deref().and_then(Path::file_name).unwrap_or_default();
    let mut bytes = [0; FILE_SIZE];
    let mut put = |offset: usize, field: &[u8]| {
        bytes[offset..offset + field.len()].copy_from_slice(field);
    };
    put(offset_of!(Header, magic), &MAGIC.to_le_bytes());
    put(offset_of!(Header, version), &VERSION.to_le_bytes());
    put(offset_of!(Header, file_size), &(FILE_SIZE as u32).to_le_bytes());
    put(offset_of!(Header, pid), &std::process::id().to_le_bytes());
    let rate = identity.max_fps.map_or(0, MaxFps::millihertz);
    put(offset_of!(Header, max_millihertz), &rate.to_le_bytes());
    put(offset_of!(Header, opened_ns), &opened_ns.to_le_bytes());
    put(offset_of!(Header, camera_id), &padded(identity.camera.as_str()));
    put(offset_of!(Header, name), &padded(identity.name));
    put(offset_of!(Header, program), &padded(&program.to_string_lossy()));
    bytes
}

/// Gives the nameless file a name that no other has.
fn name(folder: impl AsFd, file: &File, dir: &Path, opened_ns: u64) -> Result<PathBuf, OpenError> {
    let this = format!("/proc/self/fd/{}", file.as_raw_fd());
    let pid = std::process::id();
    for number in 0..MOST_NAMES {
        // Processes of two PID namespaces may have the same id, hence the time.
        let name = OsString::from(format!("{pid}-{opened_ns:x}-{number}{SUFFIX}"));
        match linkat(CWD, &this, &folder, &name, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => return Ok(dir.join(name)),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(OpenError::io("name a file in", dir, e)),
        }
    }
    Err(OpenError::io("name a file in", dir, Errno::EXIST))
}

/// The mapped file, as long as the reader or one of its frames lives.
#[derive(Debug)]
pub(crate) struct Page {
    file: MmapRaw,
    /// A page of this process: 1 here, and 0 in a child, for which the kernel wipes it.
    mark: MmapRaw,
    last_overwritten: AtomicU64,
}

impl Page {
    fn map(file: &File) -> std::io::Result<Self> {
        let file = MmapOptions::new().len(FILE_SIZE).map_raw(file)?;
        let mut mark = MmapMut::map_anon(1)?;
        // SAFETY: the advice concerns a page of this mapping alone, and changes nothing in this process.
        unsafe { madvise(mark.as_mut_ptr().cast(), mark.len(), Advice::LinuxWipeOnFork)? };
        mark[0] = 1;
        Ok(Self { file, mark: mark.into(), last_overwritten: AtomicU64::new(0) })
    }

    /// Counts a frame that was overwritten while it was read, once however often its user asks.
    #[cold]
    pub(crate) fn overwritten(&self, frame_id: u64) {
        if self.is_ours() && self.last_overwritten.swap(frame_id, Ordering::Relaxed) != frame_id {
            self.layout().header.overwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether this process created the file: not a child that got it by `fork`.
    fn is_ours(&self) -> bool {
        // SAFETY: the page is mapped and readable as long as self. Nobody writes it; volatile, since the compiler
        // can't know that `fork` changes it.
        unsafe { self.mark.as_ptr().read_volatile() == 1 }
    }

    fn layout(&self) -> &Layout {
        // SAFETY: the mapping is page-aligned, `FILE_SIZE` long, which is the type's size, lives as long as self, and
        // holds nothing but atomics, for which every bit pattern is valid.
        unsafe { &*self.file.as_ptr().cast::<Layout>() }
    }
}
