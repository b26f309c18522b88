//! The reader's side: pulls frames at its own pace from memory that it maps read-only.

mod copy;
mod frame;
mod image;
mod mapped;
mod options;
mod raw;
#[cfg(not(loom))]
mod wait_set;

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
pub(crate) use mapped::Mapped;
#[cfg(loom)]
pub(crate) use mapped::Shape;
pub use options::ReaderOptions;
pub use raw::{RawPlane, RawRow, RawView};
#[cfg(not(loom))]
pub use wait_set::{WaitPoint, WaitSet, Waker};

use crate::camera_id::CameraId;
use crate::clock::monotonic_ns;
use crate::demand::{self, MaxFps};
use crate::error::{OpenError, ReadError, WriterEnd};
use crate::futex;
use crate::layout::READERS_FILE;
use crate::lock;
use crate::meta::FrameMeta;
#[cfg(not(loom))]
use crate::telemetry::Telemetry;

/// Longest wait before the writer's lock is queried again.
const LIVENESS_SLICE: Duration = Duration::from_millis(50);
/// How often to look for a ring that does not exist yet.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A reader of one camera. It follows new epochs and new writers by itself.
///
/// It has a cursor: the id of the last frame that it returned. [`next`](Self::next) returns every frame after
/// it, in order; [`newer`](Self::newer) skips to the newest one; [`latest`](Self::latest) does not wait and may
/// return a frame again.
///
/// | call | returns | waits |
/// |---|---|---|
/// | [`next`](Self::next) | the oldest frame in the ring after the cursor | yes |
/// | [`newer`](Self::newer) | the newest frame, if it is after the cursor | yes |
/// | [`newer_if`](Self::newer_if) | the same, if its metadata is accepted | yes |
/// | [`latest`](Self::latest) | the newest frame | no |
///
/// Nothing that a reader does, or fails to do, affects the writer. A reader is not shared between
/// threads: open one in each. Frames may move to other threads.
///
/// Reading allocates nothing, and stores into no memory shared with the writer or another reader.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    camera: CameraId,
    attached_ns: u64,
    max_fps: Option<MaxFps>,
    timeout: Duration,
    /// Id of the last returned frame; 0 before the first.
    cursor: u64,
    presence: Option<File>,
    ring: Option<Arc<Mapped>>,
    /// How the writer ended, if it did and no other has followed.
    gone: Option<WriterEnd>,
    /// What this reader states about itself, where there is a readers directory.
    #[cfg(not(loom))]
    telemetry: Option<Telemetry>,
}

impl Reader {
    /// Attaches to a camera's export below [`DEFAULT_DIR`](crate::DEFAULT_DIR), for every frame.
    ///
    /// # Errors
    /// As [`ReaderOptions::open`].
    pub fn open(camera: impl AsRef<str>) -> Result<Self, OpenError> {
        Self::options().open(camera)
    }

    /// Options for opening a reader: another directory, a highest frame rate, a timeout.
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
            // An ended ring: the writer is between two epochs, or is about to remove it.
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
            #[cfg(not(loom))]
            telemetry: None,
        })
    }

    #[cfg(not(loom))]
    fn with_telemetry(mut self, telemetry: Option<Telemetry>) -> Self {
        self.telemetry = telemetry;
        self.ring = self.ring.take().and_then(Arc::into_inner).map(|ring| self.shared(ring));
        self
    }

    /// A ring that was opened, to be shared with its frames.
    fn shared(&self, ring: Mapped) -> Arc<Mapped> {
        #[cfg(not(loom))]
        let ring = ring.counted_in(self.telemetry.as_ref().map(Telemetry::page));
        Arc::new(ring)
    }

    /// The camera.
    #[must_use]
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// The cursor: the id of the last returned frame, or the value set by [`seek`](Self::seek); 0 at
    /// first.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Moves the cursor: later calls return frames with ids above `frame_id`, as far as the ring still holds them.
    ///
    /// 0 starts with the oldest frame in the ring. Ids rise across epochs and writers, so a saved cursor stays
    /// valid until the machine reboots.
    pub fn seek(&mut self, frame_id: u64) -> &mut Self {
        self.cursor = frame_id;
        self
    }

    /// How long a waiting call waits; [`Duration::MAX`] is without a limit.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sets how long a waiting call waits, as [`ReaderOptions::timeout`].
    pub fn set_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.timeout = timeout;
        self
    }

    /// The newest frame, without waiting. It may be the last returned one again.
    ///
    /// # Errors
    /// [`ReadError::NotYet`] if no frame is known to be current: a frame from before a pause in copying
    /// may be of any age. [`ReadError::WriterGone`] if the writer died or stopped.
    pub fn latest(&mut self) -> Result<Frame, ReadError> {
        self.follow()?;
        if self.gone.is_some() {
            return Err(self.nothing_for(None));
        }
        match self.ring.as_ref().and_then(Frame::newest) {
            Some(frame) if is_current(&frame, self.attached_ns) => Ok(self.given(frame, false)),
            _ => Err(self.nothing_for(None)),
        }
    }

    /// The newest frame, as [`latest`](Self::latest), but it does not count as returned: the cursor stays where it is.
    ///
    /// # Errors
    /// As [`latest`](Self::latest).
    pub fn peek(&mut self) -> Result<Frame, ReadError> {
        self.follow()?;
        let newest = self.ring.as_ref().filter(|_| self.gone.is_none()).and_then(Frame::newest);
        let current = newest.filter(|frame| is_current(frame, self.attached_ns));
        current.ok_or_else(|| self.nothing_for(None))
    }

    /// All current frames that the ring holds, oldest first. None of them counts as returned: the cursor stays where it is.
    ///
    /// # Errors
    /// As [`latest`](Self::latest).
    pub fn held(&mut self) -> Result<Vec<Frame>, ReadError> {
        self.follow()?;
        let ring = self.ring.as_ref().filter(|_| self.gone.is_none());
        let frames = ring.into_iter().flat_map(Frame::all);
        let mut held: Vec<_> = frames.filter(|frame| is_current(frame, self.attached_ns)).collect();
        held.sort_unstable_by_key(Frame::id);
        if held.is_empty() { Err(self.nothing_for(None)) } else { Ok(held) }
    }

    /// Waits up to the [timeout](ReaderOptions::timeout) for a frame newer than the last returned
    /// one, and returns the newest: for readers that want to be current and may miss frames.
    ///
    /// # Errors
    /// [`ReadError::TimedOut`], [`ReadError::NotYet`], [`ReadError::WriterGone`]. The first call that notices the
    /// last reports it at once; later calls wait for the next writer, follow it, and report it again after the
    /// timeout. [`ReadError::Open`] if a new epoch could not be opened.
    pub fn newer(&mut self) -> Result<Frame, ReadError> {
        self.newer_if(|_| true)
    }

    /// As [`newer`](Self::newer), for a frame that `wanted` accepts by its metadata alone: no byte of a
    /// picture is touched. A call judges each frame at most once.
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
    ///     // The model gets the frame here. The gate counts from the recorded dispatch.
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
        self.wait_for(false, |ring, _| {
            let frame =
                Frame::newest(ring).filter(|f| f.id() > judged && is_current(f, attached_ns))?;
            judged = frame.id();
            wanted(frame.meta()).then_some(frame)
        })
    }

    /// Waits up to the [timeout](ReaderOptions::timeout) for the next frame after the last returned one: for
    /// readers that want every frame and keep up.
    ///
    /// It is the oldest such frame still in the ring. A gap in the ids means that the frames between were not
    /// exported, or were overwritten before this call.
    ///
    /// # Errors
    /// As [`newer`](Self::newer).
    #[expect(
        clippy::should_implement_trait,
        reason = "a reader has no end, and gives its errors to `?`"
    )]
    pub fn next(&mut self) -> Result<Frame, ReadError> {
        let (cursor, attached_ns) = (self.cursor, self.attached_ns);
        self.wait_for(true, |ring, ended| {
            Frame::oldest_after(ring, cursor, ended, |frame| is_current(frame, attached_ns))
        })
    }

    /// Moves the cursor to a frame that is about to be returned. `every`: to a caller that wants each frame.
    #[cfg_attr(loom, expect(unused_variables, reason = "only telemetry asks"))]
    fn given(&mut self, frame: Frame, every: bool) -> Frame {
        #[cfg(not(loom))]
        if self.telemetry.is_some() {
            return self.counted(frame, every);
        }
        self.cursor = frame.id();
        frame
    }

    /// As [`given`](Self::given), and counts the frame.
    #[cfg(not(loom))]
    #[cold]
    #[inline(never)]
    fn counted(&mut self, frame: Frame, every: bool) -> Frame {
        let cursor = std::mem::replace(&mut self.cursor, frame.id());
        if let Some(telemetry) = &mut self.telemetry {
            if every {
                telemetry.expected_after(cursor, frame.ring(), frame.id());
            }
            telemetry.taken(frame.id(), frame.meta().arrival_ns);
        }
        frame
    }

    fn wait_for(
        &mut self,
        every: bool,
        pick: impl FnMut(&Arc<Mapped>, bool) -> Option<Frame>,
    ) -> Result<Frame, ReadError> {
        self.wait(pick).map(|frame| self.given(frame, every))
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
            // Before the frames are searched: a publication after the search then changes the
            // counter.
            let seen = self.ring.as_ref().map(|ring| ring.published());
            if let Some(frame) = look(&self.ring, false) {
                return Ok(frame);
            }
            // Frames published between the search and the end would be lost by moving on.
            if self.ring.as_ref().is_some_and(|ring| ring.has_ended())
                && let Some(frame) = look(&self.ring, true)
            {
                return Ok(frame);
            }
            let followed = self.follow()?;
            // A new epoch is searched even after the timeout, but only one: epochs could follow each
            // other forever.
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
                // Nothing to wait on: there is no ring yet, or it has no writer.
                _ => std::thread::sleep(left.min(LOOK_AGAIN)),
            }
        }
    }

    /// Moves on to the next epoch or writer, if there is one. `true` if it did.
    ///
    /// # Errors
    /// [`ReadError::WriterGone`], when this call is the first to notice.
    fn follow(&mut self) -> Result<bool, ReadError> {
        if self.ring.as_ref().is_some_and(|ring| !ring.has_ended()) {
            return Ok(false);
        }
        match Mapped::open(&self.dir, &self.camera) {
            Ok(Some(next)) if next.is_live() && next.writer_lives() => {
                self.reattach();
                self.ring = Some(self.shared(next));
                self.gone = None;
                return Ok(true);
            }
            // A writer may wait for a reader's lock before it opens its ring.
            Ok(None) => self.reattach(),
            // These occur briefly in an ordinary change of epoch.
            Ok(Some(_)) | Err(OpenError::NoCamera { .. } | OpenError::NoWriter { .. }) => {}
            // This reader had access before: a writer that has just created the directory will grant
            // it again.
            Err(OpenError::Io { error, .. }) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(e) => return Err(e.into()),
        }
        if self.gone.is_some() {
            return Ok(false);
        }
        let how = match &self.ring {
            None => return Ok(false),
            Some(ring) if ring.is_stopped() => WriterEnd::Stopped,
            // A live writer releases a lock only after it has ended the epoch.
            Some(ring) if ring.is_live() => WriterEnd::Died,
            Some(ring) if !ring.writer_lives() && !mapped::is_held(&self.dir) => WriterEnd::Died,
            Some(_) => return Ok(false),
        };
        self.gone = Some(how);
        Err(self.nothing_for(None))
    }

    /// Takes the demand lock again, for a writer that created its files afresh.
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
            // Reading works without the lock; the next epoch is another attempt.
            Err(e) => {
                tracing::warn!(camera = %self.camera, "can't state this reader's demand: {e}")
            }
        }
    }

    /// The reason why there is no frame, after a wait of `waited`.
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

/// Whether a frame is known to be current: published since the reader attached, or part of a run of copying
/// that still continues.
fn is_current(frame: &Frame, attached_ns: u64) -> bool {
    frame.meta().published_ns >= attached_ns || frame.ring().runs_since(frame.meta())
}

/// Opens `readers` and read-locks the byte that states the demand.
fn show_presence(dir: &Path, max_fps: Option<MaxFps>) -> Result<File, OpenError> {
    let path = dir.join(READERS_FILE);
    // Non-blocking: opening a FIFO would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file: File = match openat(CWD, &path, flags, Mode::empty()) {
        Ok(fd) => fd.into(),
        Err(Errno::NOENT) => return Err(OpenError::NoCamera { path: dir.into() }),
        Err(e) => return Err(OpenError::io("open", path, e)),
    };
    // Only a write lock prevents a read lock. No honest writer takes one here, and without the lock
    // this reader is merely not counted.
    match lock::try_read_lock_byte(file.as_fd(), demand::byte_of(max_fps)) {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            "{} is write-locked: this reader's demand is not counted",
            path.display()
        ),
        Err(e) => return Err(OpenError::io("lock a byte of", path, e)),
    }
    Ok(file)
}
