//! Why an export can't be written or read, in words with the values in them.

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
/// The text of each is complete, with the system's answer in it, so that none has a
/// [`source`](std::error::Error::source): a report that walks along sources prints nothing twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A system call failed.
    #[error("can't {action} {}: {error}", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
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
    /// Somebody else owns it, or it is not what it should be.
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
        /// What that writer wrote of itself.
        holder: String,
    },
    /// The ring does not fit in memory.
    #[error(transparent)]
    Memory(#[from] Shortage),
}

/// What keeps a file or directory from being one that a writer may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerProblem {
    /// A directory was expected.
    #[error("is a link or no directory")]
    NoDirectory,
    /// A regular file was expected.
    #[error("is no regular file")]
    NoRegularFile,
    /// It is something else altogether.
    #[error("is neither a directory nor a regular file but {:?}", FileType::from_raw_mode(*mode))]
    Kind {
        /// `st_mode` of stat(2).
        mode: u32,
    },
    /// It belongs to another user.
    #[error("belongs to user {found}, expected user {expected}")]
    Owner {
        /// The user that it belongs to.
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
/// The text of each is complete, with the system's answer in it, so that none has a
/// [`source`](std::error::Error::source): a report that walks along sources prints nothing twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// What was given for a camera is no camera id.
    #[error(transparent)]
    CameraId(#[from] InvalidCameraId),
    /// What was given for a highest frame rate is none.
    #[error("max_fps is {fps}, expected 1 to 1000000 frames a second")]
    MaxFps {
        /// What was given.
        fps: u32,
    },
    /// There is no directory for the camera.
    #[error("no such camera: {} does not exist (is the service running with AI_FRAME_EXPORT_ENABLED=true?)", path.display())]
    NoCamera {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The files stayed behind after their writer died.
    #[error(
        "the writer of camera {camera} is gone: its last files are there, but nobody holds their lock"
    )]
    NoWriter {
        /// The camera.
        camera: CameraId,
    },
    /// `frame.meta` or `frame.data` is not what this reader understands.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        problem: FormatProblem,
    },
    /// A system call failed.
    #[error("can't {action} {}: {error}", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
}

/// What of `frame.meta` or `frame.data` a reader does not understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatProblem {
    /// Something else lies in the file's place.
    #[error("is no regular file")]
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
        /// What is there, as a little-endian word.
        found: u64,
    },
    /// The fields lie elsewhere than this reader looks for them.
    #[error("has layout {found:#018x}, expected {expected:#018x}")]
    Layout {
        /// The hash of the writer's layout.
        found: u64,
        /// The hash of this reader's.
        expected: u64,
    },
    /// A field that has one value only has another.
    #[error("has {name} {found}, expected {expected}")]
    Field {
        /// The field, by its name in docs/ref/frame-format.md.
        name: &'static str,
        /// Its value.
        found: u64,
        /// The one that this reader understands.
        expected: u64,
    },
    /// The ring has no slots, or too many.
    #[error("has {found} slots, expected 1 to {MAX_SLOTS}")]
    SlotCount {
        /// Slots that the header states.
        found: u32,
    },
    /// Pictures have no pixels, or too many.
    #[error("has pictures of {width}x{height}, expected 1 to {MAX_SIDE} a side")]
    PictureSize {
        /// Width that the header states.
        width: u32,
        /// Height that the header states.
        height: u32,
    },
    /// A picture would not lie within its slot.
    #[error(
        "has stride {stride}, uv_offset {uv_offset}, slot_stride {slot_stride}: \
         pictures of {width}x{height} do not fit"
    )]
    Planes {
        /// Bytes from row to row.
        stride: u64,
        /// Where chroma begins in a slot.
        uv_offset: u64,
        /// Bytes from slot to slot.
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

/// Why a reader has no frame to give.
///
/// After each of them the reader can be called again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing that is surely current has been published since this reader attached.
    #[error("no frame published yet since this reader attached to camera {camera}")]
    NotYet {
        /// The camera.
        camera: CameraId,
    },
    /// No frame within the time given; the writer lives.
    #[error("camera {camera} published no new frame within {} ms; its writer is alive", timeout.as_millis())]
    TimedOut {
        /// The camera.
        camera: CameraId,
        /// The time given.
        timeout: Duration,
    },
    /// The writer died or stopped; the next one will be followed by a later call.
    #[error("the writer of camera {camera} is gone ({how}); a later call follows the next one")]
    WriterGone {
        /// The camera.
        camera: CameraId,
        /// How it went.
        how: WriterEnd,
    },
    /// The export's files could not be opened again.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// How a writer went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriterEnd {
    /// It said that it stops.
    Stopped,
    /// Its process ended without a word.
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
