//! How a reader is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Reader;
use crate::camera_id::CameraId;
use crate::demand::MaxFps;
use crate::error::OpenError;
use crate::layout::DEFAULT_DIR;

/// How a reader is opened: a builder, from [`Reader::options`].
///
/// ```no_run
/// use std::time::Duration;
/// use vas_frame::Reader;
///
/// let mut reader = Reader::options()
///     .dir("/dev/shm/frames")
///     .max_fps(5)
///     .timeout(Duration::from_secs(10))
///     .open("gate")?;
/// # Ok::<(), vas_frame::OpenError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options open nothing by themselves"]
pub struct ReaderOptions {
    dir: PathBuf,
    max_fps: Wanted,
    timeout: Duration,
}

/// What a reader says that it wants.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    EveryFrame,
    AtMost(MaxFps),
    /// A number that is no rate: said when the reader is opened, so that options can be chained.
    Invalid(u32),
}

impl ReaderOptions {
    /// Every frame of a camera below [`DEFAULT_DIR`], waited for without a limit.
    pub fn new() -> Self {
        Self { dir: DEFAULT_DIR.into(), max_fps: Wanted::EveryFrame, timeout: Duration::MAX }
    }

    /// The export directory: `[export] dir` of the service's config. [`DEFAULT_DIR`] without this call.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = dir.as_ref().into();
        self
    }

    /// The highest frame rate that this reader will ever want, in frames a second, so that no more need be
    /// copied for it. Without this call: every frame.
    ///
    /// It spares the service work and is no promise to the reader, which may be shown more: what others want, it
    /// sees too. The gate of Ruth AI Core (crate `vas-gate`) holds a reader to its rate exactly;
    /// [`Reader::newer_if`] has an example.
    ///
    /// Zero, and more than a million, is an error of [`open`](Self::open).
    pub fn max_fps(mut self, fps: u32) -> Self {
        self.max_fps = MaxFps::new(fps, 1).map_or(Wanted::Invalid(fps), Wanted::AtMost);
        self
    }

    /// As [`max_fps`](Self::max_fps), for a rate that is no whole number.
    pub fn max_rate(mut self, rate: MaxFps) -> Self {
        self.max_fps = Wanted::AtMost(rate);
        self
    }

    /// How long a waiting call waits for a frame. [`Duration::MAX`], without this call: until there is one, or
    /// the writer is gone. Zero: not at all.
    ///
    /// [`Reader::set_timeout`] changes it later.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Attaches to a camera's export. The same options can open several readers.
    ///
    /// A camera whose ring is not open yet can be attached to: reading it waits, or gives
    /// [`ReadError::NotYet`](crate::ReadError::NotYet).
    ///
    /// # Errors
    /// [`OpenError::NoCamera`] when it is not exported, [`OpenError::NoWriter`] when only a dead writer's files are
    /// there, [`OpenError::Format`] when they are of another layout; [`OpenError::CameraId`] and
    /// [`OpenError::MaxFps`] when an argument can't be; [`OpenError::Io`] when a system call fails.
    pub fn open(&self, camera: impl AsRef<str>) -> Result<Reader, OpenError> {
        let camera = CameraId::new(camera.as_ref())?;
        let max_fps = match self.max_fps {
            Wanted::EveryFrame => None,
            Wanted::AtMost(rate) => Some(rate),
            Wanted::Invalid(fps) => return Err(OpenError::MaxFps { fps }),
        };
        Reader::attach(self.dir.join(camera.as_str()), camera, max_fps, self.timeout)
    }
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self::new()
    }
}
