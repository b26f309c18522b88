//! A ring in shared memory, with its writer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vas_frame::{
    Access, CameraExport, CameraId, ClaimedSlot, Color, ExportRoot, FrameRate, Geometry, Notifier,
    OpenRing, PublishMeta, Reader, RingOptions, RingWriter, monotonic_ns,
};

/// Slots of a camera at 25 fps with the default hold of half a second.
const SLOTS: u32 = 13;
/// The most slots of a ring.
const MOST_SLOTS: u32 = vas_frame::layout::MAX_SLOTS;

/// A camera's export. Its lease is zero, so a slot is always free.
#[derive(Debug)]
pub struct Rig {
    writer: RingWriter,
    next_id: u64,
    export: CameraExport,
    dir: tempfile::TempDir,
}

impl Rig {
    /// Opens a ring for pictures of this size.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self::at_least(geometry, 0)
    }

    /// Opens a ring of at least `bytes`, or with the most slots possible.
    #[must_use]
    pub fn at_least(geometry: Geometry, bytes: u64) -> Self {
        let slots = bytes.div_ceil(geometry.slot_stride()).min(u64::from(MOST_SLOTS)) as u32;
        let dir = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
        let root = ExportRoot::open(dir.path(), Access::default()).expect("an export directory");
        let notifier = Arc::new(Notifier::start().expect("a thread"));
        let mut export = CameraExport::claim(&Arc::new(root), &camera(), &notifier)
            .expect("no other writer holds the camera");
        let options = RingOptions {
            slots: slots.max(SLOTS),
            lease: Duration::ZERO,
            frame_rate: Some(FrameRate { num: 25, den: 1 }),
        };
        match export.open_ring(geometry, options).expect("memory for a ring") {
            OpenRing::Ready(writer) => Self { writer, next_id: 1, export, dir },
            OpenRing::NotBefore(_) => unreachable!("the first ring waits for nothing"),
        }
    }

    /// A picture's geometry, without color information.
    #[must_use]
    pub fn geometry(width: u32, height: u32) -> Geometry {
        Geometry::new(width, height, Color::default(), 8).expect("a size of this bench")
    }

    /// A new reader.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::options().dir(self.dir.path()).open(camera()).expect("the camera is exported")
    }

    /// The export directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Claims the next slot.
    #[must_use]
    pub fn claim(&mut self) -> ClaimedSlot {
        self.writer.claim(monotonic_ns()).expect("no slot is leased or in flight")
    }

    /// The stamp of the next frame.
    #[must_use]
    pub fn meta(&mut self) -> PublishMeta {
        let meta = PublishMeta { frame_id: self.next_id, ..PublishMeta::default() };
        self.next_id += 1;
        meta
    }

    /// The export, which is open as long as the rig.
    #[must_use]
    pub fn export(&self) -> &CameraExport {
        &self.export
    }
}

fn camera() -> CameraId {
    CameraId::new("bench").expect("a valid id")
}
