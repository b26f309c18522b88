//! Decoded camera frames in local shared memory: read them, or export them.
//!
//! VAS decodes cameras and exports each as a directory with two files: `frame.data`, a ring of NV12 pictures, and
//! `frame.meta`, a header and an entry for each slot of the ring. One process writes them. Any number of processes
//! map both read-only and read frames at their own pace. There is no channel back: whatever a reader does, the writer
//! never waits for it.
//!
//! This page is a tutorial for readers. [`Reader`] and [`Frame`] are the reference, `docs/ref/frame-format.md` states
//! the format for other languages, and [the last section](#exporting-frames) is about the writer's side.
//!
//! # A first reader
//!
//! The service exports frames when it runs with `AI_FRAME_EXPORT_ENABLED=true`. This program prints a line for each
//! frame of the camera `gate`:
//!
//! ```no_run
//! use vas_frame::{Nv12Image, Reader};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut reader = Reader::open("gate")?;
//!     let mut image = Nv12Image::default();
//!     loop {
//!         let frame = reader.next()?;
//!         if frame.copy_if_valid(&mut image).is_ok() {
//!             println!("frame {}: {}x{}", frame.id(), image.width(), image.height());
//!         }
//!     }
//! }
//! ```
//!
//! `next` waits for a frame. `copy_if_valid` copies its pixels into `image`, which grows once and is then reused, and
//! fails if the writer reused the slot meanwhile: this reader has then lost the frame and continues with the next
//! one.
//!
//! # Which frame
//!
//! A reader keeps a cursor, the id of the last frame that it returned, so no call needs an id.
//!
//! - [`next`](Reader::next) returns every frame in order. Use it if you keep up: a reader that falls behind by more
//!   than the ring holds (half a second by default) misses frames, which shows as a gap in the ids.
//! - [`newer`](Reader::newer) returns the newest frame that it has not returned before. Use it if you are slower than
//!   the camera, as most models are.
//! - [`newer_if`](Reader::newer_if) does the same for a frame whose metadata a predicate accepts. It touches no
//!   pixels, so rejected frames cost almost nothing.
//! - [`latest`](Reader::latest) returns the newest frame and never waits.
//! - [`seek`](Reader::seek) moves the cursor.
//!
//! Frames are current: a reader gets none from before it was opened, unless copying has continued without a pause
//! since then. Hence the first call often waits for the camera's next frame.
//!
//! # Waiting and errors
//!
//! `next`, `newer` and `newer_if` wait without a limit unless [`timeout`](ReaderOptions::timeout) sets one. They
//! return a [`ReadError`] if there is no frame, and the reader stays usable after each:
//!
//! ```no_run
//! use std::time::Duration;
//! use vas_frame::{ReadError, Reader};
//!
//! let mut reader = Reader::options().timeout(Duration::from_secs(10)).open("gate")?;
//! loop {
//!     match reader.newer() {
//!         Ok(frame) => println!("frame {} is {:?} old", frame.id(), frame.meta().age()),
//!         // The camera sends nothing or is disconnected; the service reconnects by itself.
//!         Err(error @ (ReadError::TimedOut { .. } | ReadError::NotYet { .. })) => eprintln!("{error}"),
//!         // The service stopped or died. The next call waits for it to restart.
//!         Err(error @ ReadError::WriterGone { .. }) => eprintln!("{error}"),
//!         Err(error) => return Err(error),
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), ReadError>(())
//! ```
//!
//! A reader follows new sizes, new formats and restarts of the service by itself. Frame ids rise across all of them.
//! Opening fails if there is nothing to read: [`OpenError::NoCamera`] means that the service does not run or does
//! not have the camera.
//!
//! # Pixels
//!
//! Pictures are NV12: luma, then rows of interleaved chroma at half the size. [`Frame::geometry`] states size and
//! [`Color`]; a frame keeps the camera's range and matrix. [`FrameMeta::flags`] states whether the picture may be
//! damaged.
//!
//! Memory that another process writes can't be a Rust slice. There are two ways to read it:
//!
//! - [`Frame::copy_if_valid`] copies, and fails if the copy is not whole. Copying 1080p takes a fraction of a
//!   millisecond: start with this.
//! - [`Frame::raw`] returns the planes in place, for readers that need few bytes or pass a pointer to a GPU. Every
//!   byte is a volatile read, and a result counts only if [`Frame::still_valid`] returns `true` afterwards.
//!
//! A [`Frame`]'s pixels are guaranteed until [`FrameMeta::reuse_not_before_ns`]. Holding it longer only keeps
//! the memory mapped; do not keep many for long.
//!
//! # Fewer frames
//!
//! A reader with [`max_fps(5)`](ReaderOptions::max_fps) saves the service copies: it copies no more than the
//! readers want together. The reader may still get more frames, since it sees those copied for others. The gate of
//! Ruth AI Core (crate `vas-gate`) enforces the rate exactly, bursts included; [`newer_if`](Reader::newer_if) has
//! an example.
//!
//! # Threads, processes, permissions
//!
//! Open a [`Reader`] in each thread. Frames and views may move to other threads. A child created by `fork`
//! shares the reader's lock, and so its demand: let it `exec`, or drop the reader there.
//!
//! The export belongs to the service's user, and its group may read (`[export] group` and `file_mode` of the config).
//! A process with write permission could shrink the files, and a reader is then killed by SIGBUS: the files' mode
//! prevents that.
//!
//! A read allocates nothing, takes no lock and stores into no shared memory. Waiting is a futex.
//!
//! # Exporting frames
//!
//! VAS is the writer of its exports. A test of a reader can be a writer too:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use vas_frame::nv12::{Picture, Plane, StoreKind};
//! use vas_frame::{
//!     Access, CameraExport, CameraId, Color, ExportRoot, Geometry, Notifier, Nv12Image, OpenRing, Reader,
//!     RingOptions, PublishMeta, monotonic_ns,
//! };
//!
//! # let dir = tempfile::tempdir_in("/dev/shm")?;
//! # let dir = dir.path();
//! let root = Arc::new(ExportRoot::open(dir, Access::default())?);
//! let notifier = Arc::new(Notifier::start()?);
//! let mut export = CameraExport::claim(&root, &CameraId::new("gate")?, &notifier)?;
//!
//! let geometry = Geometry::new(4, 2, Color::default(), 8)?;
//! let options = RingOptions { slots: 4, lease: Duration::ZERO, frame_rate: None };
//! let OpenRing::Ready(mut writer) = export.open_ring(geometry, options)? else {
//!     unreachable!("there was no ring before, so there is no lease to wait for")
//! };
//! let mut reader = Reader::options().dir(dir).open("gate")?;
//!
//! let mut slot = writer.claim(monotonic_ns())?;
//! let y = Plane { data: &[16; 8], stride: 4 };
//! let uv = Plane { data: &[128; 4], stride: 4 };
//! slot.write(&Picture::Nv12 { y, uv }, StoreKind::Auto)?;
//! slot.publish(&PublishMeta { frame_id: 7, arrival_ns: monotonic_ns(), ..PublishMeta::default() });
//!
//! let frame = reader.next()?;
//! let mut image = Nv12Image::default();
//! frame.copy_if_valid(&mut image)?;
//! assert_eq!((frame.id(), image.luma()), (7, &[16; 8][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ExportRoot`], [`CameraExport`] and [`RingWriter`] are the writer's side, [`nv12`] copies a decoded picture
//! into an NV12 slot in one pass, and [`layout`] is the format: offsets, sizes, values.
//!
//! # Features
//!
//! - `gate`, on by default: `vas_gate::Stamp::from(frame.meta())`, the gate's input.
//! - `mutants`: only for this crate's own tests.

mod camera_id;
mod clock;
mod color;
mod demand;
mod error;
#[cfg_attr(loom, path = "model/futex.rs")]
mod futex;
mod geometry;
mod huge_pages;
pub mod layout;
mod lock;
#[cfg_attr(loom, path = "model/memory.rs")]
mod memory;
mod meta;
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
#[cfg(target_arch = "x86_64")]
mod streams;
mod sync;
#[cfg(not(loom))]
pub mod telemetry;
mod writer;

pub use camera_id::{CameraId, CameraIdProblem, InvalidCameraId};
pub use clock::monotonic_ns;
pub use color::{Color, Range};
pub use demand::{Demanded, MaxFps};
pub use error::{ExportError, FormatProblem, OpenError, OwnerProblem, ReadError, WriterEnd};
pub use geometry::{Geometry, InvalidGeometry, MAX_SIDE};
pub use huge_pages::HugePages;
pub use layout::DEFAULT_DIR;
pub use meta::{Crop, Decoder, Flags, FrameMeta, Loss, Placement, PublishMeta, Rect, Size};
pub use reader::{Frame, Nv12Image, Overwritten, RawPlane, RawRow, RawView, Reader, ReaderOptions};
#[cfg(not(loom))]
pub use reader::{WaitPoint, WaitSet, Waker};
#[cfg(any(loom, feature = "mutants"))]
#[doc(hidden)]
pub use site::{Site, weaken};
pub use writer::{
    Access, CameraExport, ClaimedSlot, ExportRoot, FrameRate, MemoryLimit, MemoryScope, Notifier,
    OpenRing, PictureTooSmall, Refused, RingOptions, RingPages, RingWriter, Shortage, Watch,
    WatchEvent, WatchId, Watcher, check_memory, memory_limits, sweep,
};
