//! Options for opening a reader.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Reader;
use crate::camera_id::CameraId;
use crate::demand::MaxFps;
use crate::error::OpenError;
use crate::layout::DEFAULT_DIR;

/// Options for opening a reader: a builder, from [`Reader::options`].
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
    name: String,
    readers_dir: Option<PathBuf>,
}

/// The rate that a reader asks for.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    EveryFrame,
    AtMost(MaxFps),
    /// An invalid rate: reported when the reader is opened, so that options can be chained.
    Invalid(u32),
}

impl ReaderOptions {
    /// The defaults: every frame of a camera below [`DEFAULT_DIR`], no timeout.
    pub fn new() -> Self {
        Self {
            dir: DEFAULT_DIR.into(),
            max_fps: Wanted::EveryFrame,
            timeout: Duration::MAX,
            name: String::new(),
            readers_dir: None,
        }
    }

    /// The export directory: `[export] dir` of the service's config. [`DEFAULT_DIR`] without this call.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = dir.as_ref().into();
        self
    }

    /// The highest frame rate that this reader wants, in frames per second, so that the service need not
    /// copy more for it. Without this call: every frame.
    ///
    /// This saves the service work but does not limit the reader, which also sees the frames copied for others.
    /// The gate of Ruth AI Core (crate `vas-gate`) enforces a rate exactly; [`Reader::newer_if`] has an example.
    ///
    /// For zero or more than a million, [`open`](Self::open) fails.
    pub fn max_fps(mut self, fps: u32) -> Self {
        self.max_fps = MaxFps::new(fps, 1).map_or(Wanted::Invalid(fps), Wanted::AtMost);
        self
    }

    /// As [`max_fps`](Self::max_fps), for a rate that is not a whole number.
    pub fn max_rate(mut self, rate: MaxFps) -> Self {
        self.max_fps = Wanted::AtMost(rate);
        self
    }

    /// How long a waiting call waits for a frame. [`Duration::MAX`], the default: until there is one, or the
    /// writer is gone. Zero: not at all.
    ///
    /// [`Reader::set_timeout`] changes it later.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A name for the status of the service, such as the model's: up to 63 bytes of it are kept. It counts only where
    /// there is a [readers directory](crate::telemetry).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The [readers directory](crate::telemetry): `[readers] dir` of the service's config. Without this call,
    /// `$VAS_READERS_DIR`, or else [`DEFAULT_DIR`](crate::telemetry::DEFAULT_DIR). Where it does not exist, this reader
    /// states nothing about itself.
    pub fn readers_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.readers_dir = Some(dir.as_ref().into());
        self
    }

    /// Attaches to a camera's export. The same options can open several readers.
    ///
    /// Attaching works before the camera's ring is open: reading then waits, or returns
    /// [`ReadError::NotYet`](crate::ReadError::NotYet).
    ///
    /// # Errors
    /// [`OpenError::NoCamera`] if the camera is not exported, [`OpenError::NoWriter`] if only a dead writer's files
    /// are left, [`OpenError::Format`] if they have another layout, [`OpenError::CameraId`] and
    /// [`OpenError::MaxFps`] for an invalid argument, [`OpenError::Io`] if a system call fails.
    pub fn open(&self, camera: impl AsRef<str>) -> Result<Reader, OpenError> {
        let camera = CameraId::new(camera.as_ref())?;
        let max_fps = match self.max_fps {
            Wanted::EveryFrame => None,
            Wanted::AtMost(rate) => Some(rate),
            Wanted::Invalid(fps) => return Err(OpenError::MaxFps { fps }),
        };
        let reader = Reader::attach(self.dir.join(camera.as_str()), camera, max_fps, self.timeout)?;
        Ok(self.with_telemetry(reader))
    }
}

#[cfg(loom)]
impl ReaderOptions {
    fn with_telemetry(&self, reader: Reader) -> Reader {
        reader
    }
}

#[cfg(not(loom))]
impl ReaderOptions {
    /// Gives the reader its file in the readers directory. Reading works without one.
    fn with_telemetry(&self, reader: Reader) -> Reader {
        use crate::telemetry::{DEFAULT_DIR, DIR_VARIABLE, Identity, Telemetry};

        let given = self.readers_dir.clone();
        let dir = given.or_else(|| std::env::var_os(DIR_VARIABLE).map(PathBuf::from));
        let dir = dir.unwrap_or_else(|| DEFAULT_DIR.into());
        if dir.as_os_str().is_empty() {
            return reader;
        }
        let camera = reader.camera();
        let identity = Identity { camera, name: &self.name, max_fps: reader.max_fps };
        match Telemetry::open(&dir, &identity) {
            Ok(telemetry) => reader.with_telemetry(telemetry),
            Err(error) => {
                tracing::warn!(%camera, "this reader is not listed in the status: {error}");
                reader
            }
        }
    }
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self::new()
    }
}
