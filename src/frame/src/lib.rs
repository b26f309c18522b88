//! Decoded camera frames in local shared memory: the layout, the ring, its one writer and its readers.
//!
//! A camera's export is a directory with `frame.data` (a ring of NV12 slots) and `frame.meta` (a
//! header and one entry per slot). One process writes; any number of processes map both files
//! read-only and pull frames at their own pace. There is no channel back: whatever a reader does, the
//! writer never waits for it. `docs/ref/frame-format.md` states the format for other languages.
//!
//! - [`layout`] is the format: offsets, sizes, values.
//! - [`ExportRoot`], [`CameraExport`] and [`RingWriter`] are the writer's side.
//! - [`Reader`] and [`Frame`] are the reader's side.
//! - [`nv12`] holds the one pass that turns a decoded picture into an NV12 slot.
//!
//! ```no_run
//! use std::time::Duration;
//! use vas_frame::{CameraId, Nv12Image, Reader};
//!
//! let mut reader = Reader::open("/dev/shm/vas".as_ref(), &CameraId::new("gate")?)?;
//! let mut image = Nv12Image::default();
//! let mut last = 0;
//! loop {
//!     let frame = reader.newer_than(last, Duration::from_secs(1))?;
//!     last = frame.meta().frame_id;
//!     if frame.copy_if_valid(&mut image).is_ok() {
//!         println!("frame {last}: {}x{}", image.width(), image.height());
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod camera_id;
mod clock;
mod color;
mod demand;
mod error;
#[cfg_attr(loom, path = "model/futex.rs")]
mod futex;
mod geometry;
pub mod layout;
mod lock;
#[cfg_attr(loom, path = "model/memory.rs")]
mod memory;
#[cfg(loom)]
#[doc(hidden)]
pub mod model;
pub mod nv12;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod racing;
mod reader;
mod seqlock;
mod site;
mod stamp;
#[cfg(target_arch = "x86_64")]
mod streams;
mod sync;
mod writer;

pub use camera_id::{CameraId, InvalidCameraId};
pub use clock::monotonic_ns;
pub use color::{Color, Range};
pub use demand::{Demanded, MaxFps};
pub use error::{ExportError, OpenError, ReadError};
pub use geometry::{Geometry, InvalidGeometry, MAX_SIDE};
pub use reader::{Frame, Nv12Image, Overwritten, RawView, Reader};
#[cfg(any(loom, feature = "mutants"))]
#[doc(hidden)]
pub use site::{Site, weaken};
pub use stamp::{Decoder, Flags, FrameMeta, Loss, Stamp};
pub use writer::{
    Access, CameraExport, ClaimedSlot, ExportRoot, Limit, Notifier, OpenRing, PictureTooSmall,
    Refused, RingOptions, RingPages, RingWriter, Shortage,
};
