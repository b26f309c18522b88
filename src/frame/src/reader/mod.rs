//! The reader's side: pull, at one's own pace, from memory that can't be written here.

mod copy;
mod frame;
mod image;
mod mapped;

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

pub use frame::{Frame, Overwritten, RawView};
pub use image::Nv12Image;
#[cfg(not(loom))]
use mapped::Mapped;
#[cfg(loom)]
pub(crate) use mapped::{Mapped, Shape};

use crate::camera_id::CameraId;
use crate::clock::monotonic_ns;
use crate::demand::{self, MaxFps};
use crate::error::{OpenError, ReadError};
use crate::futex;
use crate::layout::READERS_FILE;
use crate::lock;
use crate::stamp::FrameMeta;

/// Longest wait before the writer's lock is asked about again.
const LIVENESS_SLICE: Duration = Duration::from_millis(50);
/// How often a ring is looked for that is not there yet.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A reader of one camera. It follows new epochs and new writers by itself.
///
/// Nothing that a reader does, or fails to do, reaches the writer. A reader is not shared between
/// threads: open one in each.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    camera: CameraId,
    attached_ns: u64,
    max_fps: Option<MaxFps>,
    presence: Option<File>,
    ring: Option<Arc<Mapped>>,
    /// How the writer went, if it did and no other has come.
    gone: Option<&'static str>,
}

impl Reader {
    /// Attaches to a camera's export in `dir` (by default `/dev/shm/vas`).
    ///
    /// A camera whose ring is not open yet can be attached to: reading it gives [`ReadError::NotYet`].
    ///
    /// # Errors
    /// [`OpenError::NoCamera`] when it is not exported, [`OpenError::NoWriter`] when only a dead writer's
    /// files are there, [`OpenError::Format`] when they are of another layout.
    pub fn open(dir: &Path, camera: &CameraId) -> Result<Self, OpenError> {
        Self::open_for(dir, camera, None)
    }

    /// Attaches and states the highest frame rate that this reader will ever want, so that no more need be
    /// copied for it. It may be shown more: what others want, it sees too. `None`: every frame.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for(
        dir: &Path,
        camera: &CameraId,
        max_fps: Option<MaxFps>,
    ) -> Result<Self, OpenError> {
        let path = dir.join(camera.as_str());
        let attached_ns = monotonic_ns();
        let presence = Some(attach(&path, max_fps)?);
        let ring = match Mapped::open(&path, camera) {
            Ok(ring) if !ring.writer_lives() && !mapped::is_held(&path) => {
                return Err(OpenError::NoWriter { camera: camera.to_string() });
            }
            // Between two epochs, or about to be removed.
            Ok(ring) => (!ring.has_ended()).then(|| Arc::new(ring)),
            Err(OpenError::NotYet { .. }) => None,
            Err(e) => return Err(e),
        };
        Ok(Self {
            dir: path,
            camera: camera.clone(),
            attached_ns,
            max_fps,
            presence,
            ring,
            gone: None,
        })
    }

    /// The camera.
    #[must_use]
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// The newest frame, without waiting.
    ///
    /// # Errors
    /// [`ReadError::NotYet`] when nothing is there that is surely current: a frame from before a pause in
    /// copying may be of any age. [`ReadError::WriterGone`] when the writer died or stopped.
    pub fn latest(&mut self) -> Result<Frame, ReadError> {
        self.follow()?;
        if self.gone.is_some() {
            return Err(self.nothing_for(None));
        }
        let newest = self.ring.as_ref().and_then(Mapped::newest);
        newest
            .filter(|frame| is_current(frame, self.attached_ns))
            .ok_or_else(|| self.nothing_for(None))
    }

    /// The newest frame whose id is above `id`, waiting for it up to `timeout`.
    ///
    /// # Errors
    /// [`ReadError::TimedOut`], [`ReadError::NotYet`], [`ReadError::WriterGone`]. The last is told at once by
    /// the call that notices; later calls wait for the next writer, follow it, and tell it again after
    /// `timeout`.
    pub fn newer_than(&mut self, id: u64, timeout: Duration) -> Result<Frame, ReadError> {
        self.newer_than_if(id, timeout, |_| true)
    }

    /// The newest frame whose id is above `id` and that `wanted` wants, judged by its metadata alone:
    /// no byte of a picture is touched. Each frame is judged at most once.
    ///
    /// # Errors
    /// As [`newer_than`](Self::newer_than).
    ///
    /// # Example
    /// At most five frames a second, by the gate of Ruth AI Core:
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use vas_frame::{CameraId, FrameMeta, Reader};
    /// use vas_gate::{Limit, Stamp, State, decide};
    ///
    /// let limit: Limit = "5".parse()?;
    /// let mut state = State::default();
    /// let stamp = |meta: &FrameMeta| Stamp {
    ///     epoch: meta.epoch,
    ///     frame_id: meta.frame_id,
    ///     gate_ns: meta.gate_ns,
    ///     published_ns: meta.published_ns,
    /// };
    /// let mut reader = Reader::open("/dev/shm/vas".as_ref(), &CameraId::new("gate")?)?;
    /// let mut last = 0;
    /// loop {
    ///     let frame = reader.newer_than_if(last, Duration::from_secs(10), |meta| {
    ///         decide(&state, &limit, stamp(meta)).is_allow()
    ///     })?;
    ///     last = frame.meta().frame_id;
    ///     // Here the model gets it. What is taken down afterwards is what it counts from.
    ///     state.dispatched(stamp(frame.meta()));
    /// }
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn newer_than_if(
        &mut self,
        id: u64,
        timeout: Duration,
        mut wanted: impl FnMut(&FrameMeta) -> bool,
    ) -> Result<Frame, ReadError> {
        let (mut judged, attached_ns) = (id, self.attached_ns);
        self.wait_for(timeout, |ring, _| {
            let frame = Mapped::newest(ring)
                .filter(|f| f.meta().frame_id > judged && is_current(f, attached_ns))?;
            judged = frame.meta().frame_id;
            wanted(frame.meta()).then_some(frame)
        })
    }

    /// The oldest frame still in the ring whose id is above `id`, waiting for one up to `timeout`: for
    /// those who want every frame and keep up.
    ///
    /// # Errors
    /// As [`newer_than`](Self::newer_than).
    pub fn next_after(&mut self, id: u64, timeout: Duration) -> Result<Frame, ReadError> {
        let attached_ns = self.attached_ns;
        self.wait_for(timeout, |ring, ended| {
            Mapped::oldest_after(ring, id, ended, |frame| is_current(frame, attached_ns))
        })
    }

    fn wait_for(
        &mut self,
        timeout: Duration,
        mut pick: impl FnMut(&Arc<Mapped>, bool) -> Option<Frame>,
    ) -> Result<Frame, ReadError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut look =
            |ring: &Option<Arc<Mapped>>, ended| ring.as_ref().and_then(|r| pick(r, ended));
        loop {
            // Before the look at the frames: what is published after it changes the counter.
            let seen = self.ring.as_ref().map(|ring| ring.published());
            if let Some(frame) = look(&self.ring, false) {
                return Ok(frame);
            }
            // What was published between our look and the end would be lost by going on.
            if self.ring.as_ref().is_some_and(|ring| ring.has_ended())
                && let Some(frame) = look(&self.ring, true)
            {
                return Ok(frame);
            }
            let followed = self.follow()?;
            // A new epoch is looked at however late it is, but only this one: they could come for ever.
            if followed && let Some(frame) = look(&self.ring, false) {
                return Ok(frame);
            }
            let left =
                deadline.map_or(Duration::MAX, |d| d.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(self.nothing_for(Some(timeout)));
            }
            if followed {
                continue;
            }
            match (&self.ring, seen) {
                (Some(ring), Some(seen)) if ring.is_live() && self.gone.is_none() => {
                    futex::wait(ring.published_word(), seen, left.min(LIVENESS_SLICE));
                }
                // Nothing to wait on: there is no ring yet, or no writer behind it.
                _ => std::thread::sleep(left.min(LOOK_AGAIN)),
            }
        }
    }

    /// Moves on to the next epoch or writer when there is one. `true` when it did.
    ///
    /// # Errors
    /// [`ReadError::WriterGone`], when it is noticed.
    fn follow(&mut self) -> Result<bool, ReadError> {
        if self.ring.as_ref().is_some_and(|ring| !ring.has_ended()) {
            return Ok(false);
        }
        match Mapped::open(&self.dir, &self.camera) {
            Ok(next) if next.is_live() && next.writer_lives() => {
                self.reattach();
                self.ring = Some(Arc::new(next));
                self.gone = None;
                return Ok(true);
            }
            // A writer may be waiting to be shown that somebody is there.
            Err(OpenError::NotYet { .. }) => self.reattach(),
            // An honest change of epoch has moments like these.
            Ok(_) | Err(OpenError::NoCamera { .. } | OpenError::NoWriter { .. }) => {}
            // We were let in before: a writer that has just made the directory will let us in again.
            Err(OpenError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {}
            Err(e) => return Err(e.into()),
        }
        if self.gone.is_some() {
            return Ok(false);
        }
        let how = match &self.ring {
            None => return Ok(false),
            Some(ring) if ring.is_stopped() => "stopped",
            // The writer lets go of a lock only after it has said that the epoch is over.
            Some(ring) if ring.is_live() => "died",
            Some(ring) if !ring.writer_lives() && !mapped::is_held(&self.dir) => "died",
            Some(_) => return Ok(false),
        };
        self.gone = Some(how);
        Err(self.nothing_for(None))
    }

    /// Shows presence to a writer that made its files anew.
    fn reattach(&mut self) {
        let named = statat(CWD, self.dir.join(READERS_FILE), AtFlags::SYMLINK_NOFOLLOW);
        let held = self.presence.as_ref().map(fstat);
        if let (Ok(named), Some(Ok(held))) = (&named, &held)
            && named.st_ino == held.st_ino
        {
            return;
        }
        match attach(&self.dir, self.max_fps) {
            Ok(file) => self.presence = Some(file),
            // Reading needs no presence; it is tried again at the next epoch.
            Err(e) => tracing::warn!(camera = %self.camera, "can't show presence: {e}"),
        }
    }

    /// Why there is no frame, after a wait of `waited`.
    fn nothing_for(&self, waited: Option<Duration>) -> ReadError {
        let camera = self.camera.to_string();
        match (self.gone, waited, &self.ring) {
            (Some(how), _, _) => ReadError::WriterGone { camera, how },
            (None, Some(timeout), Some(ring)) if ring.ever_published() => {
                ReadError::TimedOut { camera, timeout }
            }
            _ => ReadError::NotYet { camera },
        }
    }
}

/// Whether a frame is surely no older than its reader: published since it attached, or in an unbroken run of
/// copying that still goes on.
fn is_current(frame: &Frame, attached_ns: u64) -> bool {
    frame.meta().published_ns >= attached_ns || frame.ring().runs_since(frame.meta())
}

/// Opens `readers` and read-locks the byte that states what is wanted.
fn attach(dir: &Path, max_fps: Option<MaxFps>) -> Result<File, OpenError> {
    let path = dir.join(READERS_FILE);
    // Not blocking: opening a FIFO would wait for somebody to write to it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file: File = match openat(CWD, &path, flags, Mode::empty()) {
        Ok(fd) => fd.into(),
        Err(Errno::NOENT) => return Err(OpenError::NoCamera { path: dir.into() }),
        Err(e) => return Err(OpenError::io("open", path, e)),
    };
    // A read lock is refused only to someone whom a write lock is in the way of; no honest writer takes
    // one here, and without it we are merely not counted.
    match lock::try_read_lock_byte(file.as_fd(), demand::byte_of(max_fps)) {
        Ok(true) => {}
        Ok(false) => tracing::warn!("{} is write-locked: presence not shown", path.display()),
        Err(e) => return Err(OpenError::io("lock a byte of", path, e)),
    }
    Ok(file)
}
