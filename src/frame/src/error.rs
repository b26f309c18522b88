//! Why an export can't be written or read. Each message states the values involved.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::FileType;

use crate::camera_id::{CameraId, InvalidCameraId};
use crate::geometry::MAX_SIDE;
use crate::layout::MAX_SLOTS;
use crate::writer::Shortage;

/// Why a camera can't be exported.
///
/// Each message includes the system's error, and no variant has a
/// [`source`](std::error::Error::source): a report that follows sources prints nothing twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A system call failed.
    #[error("can't {action} {}: {error}", path.display())]
    Io {
        /// The failed action, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The directory is on a disk.
    #[error(
        "{} is not on tmpfs: frames would go to a disk; choose a directory below /dev/shm (`[export] dir`)",
        path.display()
    )]
    NotTmpfs {
        /// The directory.
        path: PathBuf,
    },
    /// The file or directory has the wrong owner, type or mode.
    #[error("{} {problem}; remove it or choose another directory (`[export] dir`)", path.display())]
    NotOurs {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: OwnerProblem,
    },
    /// Another writer holds the camera.
    #[error("camera {camera} is already exported by another writer: {holder}")]
    Held {
        /// The camera.
        camera: CameraId,
        /// How that writer identifies itself.
        holder: String,
    },
    /// The ring does not fit in memory.
    #[error(transparent)]
    Memory(#[from] Shortage),
}

/// Why a writer can't use a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerProblem {
    /// A directory was expected.
    #[error("is a link or not a directory")]
    NoDirectory,
    /// A regular file was expected.
    #[error("is not a regular file")]
    NoRegularFile,
    /// It is neither a directory nor a regular file.
    #[error("is neither a directory nor a regular file but {:?}", FileType::from_raw_mode(*mode))]
    Kind {
        /// `st_mode` of stat(2).
        mode: u32,
    },
    /// It belongs to another user.
    #[error("belongs to user {found}, expected user {expected}")]
    Owner {
        /// Its owner.
        found: u32,
        /// This process's user.
        expected: u32,
    },
    /// Its permissions let others write.
    #[error("has mode {mode:04o}: others may write it")]
    Writable {
        /// The permission bits.
        mode: u32,
    },
}

impl ExportError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        error: impl Into<io::Error>,
    ) -> Self {
        Self::Io { action, path: path.into(), error: error.into() }
    }
}

/// Why a reader can't be opened.
///
/// Each message includes the system's error, and no variant has a
/// [`source`](std::error::Error::source): a report that follows sources prints nothing twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The camera's name is not a valid camera id.
    #[error(transparent)]
    CameraId(#[from] InvalidCameraId),
    /// The highest frame rate is out of range.
    #[error("max_fps is {fps}, expected 1 to 1000000 frames per second")]
    MaxFps {
        /// The rejected rate.
        fps: u32,
    },
    /// There is no directory for the camera.
    #[error("no such camera: {} does not exist (is the service running with AI_FRAME_EXPORT_ENABLED=true?)", path.display())]
    NoCamera {
        /// The missing directory.
        path: PathBuf,
    },
    /// The writer died and left its files behind.
    #[error(
        "the writer of camera {camera} is gone: its last files are there, but nobody holds their lock"
    )]
    NoWriter {
        /// The camera.
        camera: CameraId,
    },
    /// `frame.meta` or `frame.data` has a format that this reader does not support.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FormatProblem,
    },
    /// A system call failed.
    #[error("can't {action} {}: {error}", path.display())]
    Io {
        /// The failed action, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// Why a reader rejects `frame.meta` or `frame.data`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatProblem {
    /// It is not a regular file.
    #[error("is not a regular file")]
    NoRegularFile,
    /// `frame.meta` is shorter than its header.
    #[error("is {found} bytes long, expected at least {least}")]
    NoHeader {
        /// Bytes of the file.
        found: u64,
        /// Bytes of a header.
        least: u64,
    },
    /// `frame.meta` is shorter than its entries.
    #[error("is {found} bytes long, expected {expected} for {slots} slots")]
    NoEntries {
        /// Bytes of the file.
        found: u64,
        /// Bytes of header and entries.
        expected: u64,
        /// Slots that the header states.
        slots: u32,
    },
    /// `frame.data` is shorter than its slots.
    #[error("is {found} bytes long, expected {expected}")]
    NoSlots {
        /// Bytes of the file.
        found: u64,
        /// Bytes of all slots.
        expected: u64,
    },
    /// The magic number is missing.
    #[error("has no magic VASFRAME at byte 64 but {found:#018x}")]
    Magic {
        /// The bytes found, as a little-endian word.
        found: u64,
    },
    /// The fields are at other offsets.
    #[error("has layout {found:#018x}, expected {expected:#018x}")]
    Layout {
        /// The hash of the writer's layout.
        found: u64,
        /// The hash of this reader's.
        expected: u64,
    },
    /// A field with a single valid value has another.
    #[error("has {name} {found}, expected {expected}")]
    Field {
        /// The field, by its name in docs/ref/frame-format.md.
        name: &'static str,
        /// Its value.
        found: u64,
        /// The value that this reader supports.
        expected: u64,
    },
    /// The number of slots is out of range.
    #[error("has {found} slots, expected 1 to {MAX_SLOTS}")]
    SlotCount {
        /// Slots that the header states.
        found: u32,
    },
    /// The picture size is out of range.
    #[error("has pictures of {width}x{height}, expected 1 to {MAX_SIDE} a side")]
    PictureSize {
        /// Width that the header states.
        width: u32,
        /// Height that the header states.
        height: u32,
    },
    /// A picture does not fit its slot.
    #[error(
        "has stride {stride}, uv_offset {uv_offset}, slot_stride {slot_stride}: \
         pictures of {width}x{height} do not fit"
    )]
    Planes {
        /// Bytes between the starts of two rows.
        stride: u64,
        /// Byte offset of the chroma plane in a slot.
        uv_offset: u64,
        /// Bytes between the starts of two slots.
        slot_stride: u64,
        /// Width of a picture.
        width: u32,
        /// Height of a picture.
        height: u32,
    },
}

impl OpenError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        error: impl Into<io::Error>,
    ) -> Self {
        Self::Io { action, path: path.into(), error: error.into() }
    }
}

/// Why a reader returns no frame.
///
/// The reader stays usable after each of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No frame that is known to be current has been published since this reader attached.
    #[error("no frame published yet since this reader attached to camera {camera}")]
    NotYet {
        /// The camera.
        camera: CameraId,
    },
    /// No frame came within the timeout; the writer is alive.
    #[error("camera {camera} published no new frame within {} ms; its writer is alive", timeout.as_millis())]
    TimedOut {
        /// The camera.
        camera: CameraId,
        /// The timeout.
        timeout: Duration,
    },
    /// The writer died or stopped; a later call follows the next one.
    #[error("the writer of camera {camera} is gone ({how}); a later call follows the next one")]
    WriterGone {
        /// The camera.
        camera: CameraId,
        /// How it ended.
        how: WriterEnd,
    },
    /// The export's files could not be opened again.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// How a writer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriterEnd {
    /// It stopped cleanly.
    Stopped,
    /// It died without marking the export as stopped.
    Died,
}

impl std::fmt::Display for WriterEnd {
    /// Prints `stopped` or `died`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::Died => "died",
        })
    }
}
