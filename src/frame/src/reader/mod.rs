//! The reader's side: pull, at one's own pace, from memory that can't be written here.

mod copy;
mod frame;
mod image;
mod mapped;
mod options;
mod raw;

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

pub use frame::{Frame, Overwritten};
pub use image::Nv12Image;
#[cfg(not(loom))]
use mapped::Mapped;
#[cfg(loom)]
pub(crate) use mapped::{Mapped, Shape};
pub use options::ReaderOptions;
pub use raw::{RawPlane, RawRow, RawView};

use crate::camera_id::CameraId;
use crate::clock::monotonic_ns;
use crate::demand::{self, MaxFps};
use crate::error::{OpenError, ReadError, WriterEnd};
use crate::futex;
use crate::layout::READERS_FILE;
use crate::lock;
use crate::meta::FrameMeta;

/// Longest wait before the writer's lock is asked about again.
const LIVENESS_SLICE: Duration = Duration::from_millis(50);
/// How often a ring is looked for that is not there yet.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A reader of one camera. It follows new epochs and new writers by itself.
///
/// It has a cursor: the id of the frame that it gave last. [`next`](Self::next) gives every frame behind it, in
/// order; [`newer`](Self::newer) skips to the newest one; [`latest`](Self::latest) does not wait and may give a
/// frame again.
///
/// | call | gives | waits |
/// |---|---|---|
/// | [`next`](Self::next) | the oldest frame in the ring that lies behind the cursor | yes |
/// | [`newer`](Self::newer) | the newest frame, if it lies behind the cursor | yes |
/// | [`newer_if`](Self::newer_if) | the same, if its metadata is wanted | yes |
/// | [`latest`](Self::latest) | the newest frame | no |
///
/// Nothing that a reader does, or fails to do, reaches the writer. A reader is not shared between
/// threads: open one in each. Frames may go to other threads.
///
/// A read allocates nothing, and stores into no memory that is shared with the writer or another reader.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    camera: CameraId,
    attached_ns: u64,
    max_fps: Option<MaxFps>,
    timeout: Duration,
    /// Id of the frame that was given last; 0 before the first.
    cursor: u64,
    presence: Option<File>,
    ring: Option<Arc<Mapped>>,
    /// How the writer went, if it did and no other has come.
    gone: Option<WriterEnd>,
}

impl Reader {
    /// Attaches to a camera's export below [`DEFAULT_DIR`](crate::DEFAULT_DIR), for every frame.
    ///
    /// # Errors
    /// As [`ReaderOptions::open`].
    pub fn open(camera: impl AsRef<str>) -> Result<Self, OpenError> {
        Self::options().open(camera)
    }

    /// Options of a reader to be opened: another directory, a highest frame rate, a limit to waiting.
    pub fn options() -> ReaderOptions {
        ReaderOptions::new()
    }

    fn attach(
        dir: PathBuf,
        camera: CameraId,
        max_fps: Option<MaxFps>,
        timeout: Duration,
    ) -> Result<Self, OpenError> {
        let attached_ns = monotonic_ns();
        let presence = Some(show_presence(&dir, max_fps)?);
        let ring = match Mapped::open(&dir, &camera)? {
            Some(ring) if !ring.writer_lives() && !mapped::is_held(&dir) => {
                return Err(OpenError::NoWriter { camera });
            }
            // Between two epochs, or about to be removed.
            Some(ring) => (!ring.has_ended()).then(|| Arc::new(ring)),
            None => None,
        };
        Ok(Self {
            dir,
            camera,
            attached_ns,
            max_fps,
            timeout,
            cursor: 0,
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

    /// The cursor: the id of the frame that was given last, or what [`seek`](Self::seek) set; 0 at first.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Moves the cursor: frames whose ids are above `frame_id` are given next, as far as the ring still holds them.
    ///
    /// 0 begins with the oldest frame in the ring. Ids rise across epochs and writers, so a cursor that was kept is
    /// good for as long as the machine is up.
    pub fn seek(&mut self, frame_id: u64) -> &mut Self {
        self.cursor = frame_id;
        self
    }

    /// How long a waiting call waits; [`Duration::MAX`]: without a limit.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sets how long a waiting call waits, as [`ReaderOptions::timeout`].
    pub fn set_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.timeout = timeout;
        self
    }

    /// The newest frame, without waiting. It may be the one that was given last.
    ///
    /// # Errors
    /// [`ReadError::NotYet`] when nothing is there that is surely current: a frame from before a pause in
    /// copying may be of any age. [`ReadError::WriterGone`] when the writer died or stopped.
    pub fn latest(&mut self) -> Result<Frame, ReadError> {
        self.follow()?;
        if self.gone.is_some() {
            return Err(self.nothing_for(None));
        }
        let newest = self.ring.as_ref().and_then(Frame::newest);
        let frame = newest
            .filter(|frame| is_current(frame, self.attached_ns))
            .ok_or_else(|| self.nothing_for(None))?;
        Ok(self.given(frame))
    }

    /// The newest frame, once it is another than was given last, waiting for it up to the
    /// [timeout](ReaderOptions::timeout): for those who want to be current and may miss frames.
    ///
    /// # Errors
    /// [`ReadError::TimedOut`], [`ReadError::NotYet`], [`ReadError::WriterGone`]. The last is reported at
    /// once by the call that notices; later calls wait for the next writer, follow it, and report it again after the
    /// timeout.
    /// [`ReadError::Open`] when a new epoch could not be opened.
    pub fn newer(&mut self) -> Result<Frame, ReadError> {
        self.newer_if(|_| true)
    }

    /// As [`newer`](Self::newer), for a frame that `wanted` wants, judged by its metadata alone: no byte of a
    /// picture is touched. Each frame is judged at most once in a call.
    ///
    /// # Errors
    /// As [`newer`](Self::newer).
    ///
    /// # Example
    /// At most five frames a second, by the gate of Ruth AI Core:
    ///
    /// ```no_run
    /// use vas_frame::Reader;
    /// use vas_gate::{Limit, State, decide};
    ///
    /// let limit: Limit = "5".parse()?;
    /// let mut state = State::default();
    /// let mut reader = Reader::options().max_fps(5).open("gate")?;
    /// loop {
    ///     let frame = reader.newer_if(|meta| decide(&state, &limit, meta.into()).is_allow())?;
    ///     // Here the model gets it. What is recorded afterwards is what the gate counts from.
    ///     state.dispatched(frame.meta().into());
    /// }
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn newer_if(
        &mut self,
        mut wanted: impl FnMut(&FrameMeta) -> bool,
    ) -> Result<Frame, ReadError> {
        let (mut judged, attached_ns) = (self.cursor, self.attached_ns);
        self.wait_for(|ring, _| {
            let frame =
                Frame::newest(ring).filter(|f| f.id() > judged && is_current(f, attached_ns))?;
            judged = frame.id();
            wanted(frame.meta()).then_some(frame)
        })
    }

    /// The frame after the one that was given last, waiting for it up to the [timeout](ReaderOptions::timeout): for
    /// those who want every frame and keep up.
    ///
    /// It is the oldest one still in the ring. A gap in the ids means that the frames between were not exported, or
    /// were overwritten before they were asked for.
    ///
    /// # Errors
    /// As [`newer`](Self::newer).
    #[expect(
        clippy::should_implement_trait,
        reason = "a reader has no end, and gives its errors to `?`"
    )]
    pub fn next(&mut self) -> Result<Frame, ReadError> {
        let (cursor, attached_ns) = (self.cursor, self.attached_ns);
        self.wait_for(|ring, ended| {
            Frame::oldest_after(ring, cursor, ended, |frame| is_current(frame, attached_ns))
        })
    }

    /// Moves the cursor to a frame that is about to be given.
    fn given(&mut self, frame: Frame) -> Frame {
        self.cursor = frame.id();
        frame
    }

    fn wait_for(
        &mut self,
        pick: impl FnMut(&Arc<Mapped>, bool) -> Option<Frame>,
    ) -> Result<Frame, ReadError> {
        self.wait(pick).map(|frame| self.given(frame))
    }

    fn wait(
        &mut self,
        mut pick: impl FnMut(&Arc<Mapped>, bool) -> Option<Frame>,
    ) -> Result<Frame, ReadError> {
        let timeout = self.timeout;
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
            // A new epoch is looked at however late it is, but only this one: they could come forever.
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
            Ok(Some(next)) if next.is_live() && next.writer_lives() => {
                self.reattach();
                self.ring = Some(Arc::new(next));
                self.gone = None;
                return Ok(true);
            }
            // A writer may be waiting to be shown that somebody is there.
            Ok(None) => self.reattach(),
            // An honest change of epoch has moments like these.
            Ok(Some(_)) | Err(OpenError::NoCamera { .. } | OpenError::NoWriter { .. }) => {}
            // We were let in before: a writer that has just made the directory will let us in again.
            Err(OpenError::Io { error, .. }) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(e) => return Err(e.into()),
        }
        if self.gone.is_some() {
            return Ok(false);
        }
        let how = match &self.ring {
            None => return Ok(false),
            Some(ring) if ring.is_stopped() => WriterEnd::Stopped,
            // The writer lets go of a lock only after it has said that the epoch is over.
            Some(ring) if ring.is_live() => WriterEnd::Died,
            Some(ring) if !ring.writer_lives() && !mapped::is_held(&self.dir) => WriterEnd::Died,
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
        match show_presence(&self.dir, self.max_fps) {
            Ok(file) => self.presence = Some(file),
            // Reading needs no presence; it is tried again at the next epoch.
            Err(e) => tracing::warn!(camera = %self.camera, "can't show presence: {e}"),
        }
    }

    /// Why there is no frame, after a wait of `waited`.
    fn nothing_for(&self, waited: Option<Duration>) -> ReadError {
        let camera = self.camera.clone();
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
fn show_presence(dir: &Path, max_fps: Option<MaxFps>) -> Result<File, OpenError> {
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
