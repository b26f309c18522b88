//! Decoded camera frames in local shared memory: read them, or export them.
//!
//! VAS decodes cameras and exports each as a directory with two files: `frame.data`, a ring of NV12 pictures, and
//! `frame.meta`, a header and an entry for each slot of the ring. One process writes them. Any number of processes
//! map both read-only and take frames at their own pace. There is no channel back: whatever a reader does, the writer
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
//! fails when the writer took the slot back meanwhile: such a frame is lost to this reader, and the next one comes.
//!
//! # Which frame
//!
//! A reader has a cursor, the id of the frame that it gave last, so that no call needs an id.
//!
//! - [`next`](Reader::next) gives every frame in order. It is for those who keep up: who falls behind by more than the
//!   ring holds (half a second, unless the service's config says otherwise) misses frames, and sees it by a gap in the
//!   ids.
//! - [`newer`](Reader::newer) gives the newest frame that it has not given before. It is for those who are slower than
//!   the camera, such as most models.
//! - [`newer_if`](Reader::newer_if) does the same for a frame whose metadata is wanted. Nothing else is touched, so
//!   frames that are not wanted cost almost nothing.
//! - [`latest`](Reader::latest) gives the newest frame and never waits.
//! - [`seek`](Reader::seek) moves the cursor.
//!
//! What a reader is given is current: nothing from before it was opened, unless copying has gone on without a pause
//! since then. Hence the first call often waits for the camera's next frame.
//!
//! # Waiting, and what can go wrong
//!
//! `next`, `newer` and `newer_if` wait without a limit unless [`timeout`](ReaderOptions::timeout) sets one. Everything
//! that keeps a frame from coming is a [`ReadError`], and the reader stays good after each:
//!
//! ```no_run
//! use std::time::Duration;
//! use vas_frame::{ReadError, Reader};
//!
//! let mut reader = Reader::options().timeout(Duration::from_secs(10)).open("gate")?;
//! loop {
//!     match reader.newer() {
//!         Ok(frame) => println!("frame {} is {:?} old", frame.id(), frame.meta().age()),
//!         // The camera is quiet or away; the service reconnects by itself.
//!         Err(error @ (ReadError::TimedOut { .. } | ReadError::NotYet { .. })) => eprintln!("{error}"),
//!         // The service stopped or died. The next call waits for it to come back.
//!         Err(error @ ReadError::WriterGone { .. }) => eprintln!("{error}"),
//!         Err(error) => return Err(error),
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), ReadError>(())
//! ```
//!
//! A reader follows new sizes, new formats and restarts of the service by itself. Frame ids rise across all of them.
//! Opening fails where there is nothing to read: [`OpenError::NoCamera`] is a service that does not run, or a camera
//! that it does not have.
//!
//! # Pixels
//!
//! Pictures are NV12: luma, then rows of interleaved chroma at half the size. [`Frame::geometry`] states size and
//! [`Color`]; a frame keeps the camera's range and matrix. [`FrameMeta::flags`] says whether the picture is damaged.
//!
//! Memory that another process writes is no Rust slice. There are two ways to it:
//!
//! - [`Frame::copy_if_valid`] copies, and says whether the copy is whole. A copy of 1080p takes a fraction of a
//!   millisecond: begin with this.
//! - [`Frame::raw`] gives the planes in place, for those who look at few bytes or hand a pointer to a GPU. Every byte
//!   is a volatile read, and what was computed counts only if [`Frame::still_valid`] says so afterwards.
//!
//! A [`Frame`] promises its pixels until [`FrameMeta::reuse_not_before_ns`]; holding it longer keeps the memory
//! mapped and nothing else. Do not keep many for long.
//!
//! # Fewer frames
//!
//! A reader that says [`max_fps(5)`](ReaderOptions::max_fps) spares the service copies: where nobody wants more, it
//! copies no more. It may still be shown more, since it sees what others asked for. The gate of Ruth AI Core (crate
//! `vas-gate`) holds it to the rate exactly, bursts included; [`newer_if`](Reader::newer_if) has the example.
//!
//! # Threads, processes, permissions
//!
//! Open a [`Reader`] in each thread. Frames and views may go to other threads. A child made by `fork` shares the
//! reader's presence: let it `exec`, or drop the reader there.
//!
//! The export belongs to the service's user, and its group may read (`[export] group` and `file_mode` of the config).
//! Whoever may write the files could shrink them, and a reader that then reads is killed by SIGBUS: their mode stands
//! against that.
//!
//! A read allocates nothing, takes no lock and stores into no shared memory. Waiting is a futex.
//!
//! # Exporting frames
//!
//! VAS is the writer of its exports. A test of a reader can be one, too:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use vas_frame::nv12::{Picture, Plane, StoreKind};
//! use vas_frame::{
//!     Access, CameraExport, CameraId, Color, ExportRoot, Geometry, Notifier, Nv12Image, OpenRing, Reader,
//!     RingOptions, Stamp, monotonic_ns,
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
//!     unreachable!("there was no ring before, so that none is in the way")
//! };
//! let mut reader = Reader::options().dir(dir).open("gate")?;
//!
//! let mut slot = writer.claim(monotonic_ns())?;
//! let y = Plane { data: &[16; 8], stride: 4 };
//! let uv = Plane { data: &[128; 4], stride: 4 };
//! slot.write(&Picture::Nv12 { y, uv }, StoreKind::Auto)?;
//! slot.publish(&Stamp { frame_id: 7, arrival_ns: monotonic_ns(), ..Stamp::default() });
//!
//! let frame = reader.next()?;
//! let mut image = Nv12Image::default();
//! frame.copy_if_valid(&mut image)?;
//! assert_eq!((frame.id(), image.luma()), (7, &[16; 8][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ExportRoot`], [`CameraExport`] and [`RingWriter`] are the writer's side, [`nv12`] is the one pass that turns a
//! decoded picture into an NV12 slot, and [`layout`] is the format: offsets, sizes, values.
//!
//! # Features
//!
//! - `gate`, on by default: `vas_gate::Stamp::from(frame.meta())`, what the gate judges.
//! - `mutants`: for the tests of this crate alone.

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

pub use camera_id::{CameraId, CameraIdProblem, InvalidCameraId};
pub use clock::monotonic_ns;
pub use color::{Color, Range};
pub use demand::{Demanded, MaxFps};
pub use error::{ExportError, FormatProblem, OpenError, OwnerProblem, ReadError, WriterEnd};
pub use geometry::{Geometry, InvalidGeometry, MAX_SIDE};
pub use huge_pages::HugePages;
pub use layout::DEFAULT_DIR;
pub use reader::{Frame, Nv12Image, Overwritten, RawPlane, RawRow, RawView, Reader, ReaderOptions};
#[cfg(any(loom, feature = "mutants"))]
#[doc(hidden)]
pub use site::{Site, weaken};
pub use stamp::{Crop, Decoder, Flags, FrameMeta, Loss, Rect, Size, Stamp};
pub use writer::{
    Access, CameraExport, ClaimedSlot, ExportRoot, FrameRate, MemoryLimit, MemoryScope, Notifier,
    OpenRing, PictureTooSmall, Refused, RingOptions, RingPages, RingWriter, Shortage, Watch,
    WatchEvent, WatchId, Watcher,
};
