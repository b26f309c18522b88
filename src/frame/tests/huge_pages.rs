//! Rings and readers' images on huge pages: where the kernel has them, and where it has none.
//!
//! One test in a process of its own: whether a process may have huge pages is a property of the whole process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::thread::disable_transparent_huge_pages;
use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, Geometry, Notifier, Nv12Image, OpenRing,
    PublishMeta, Reader, RingOptions, RingWriter, monotonic_ns,
};
use vas_harness::not_tried;

const HUGE_PAGE: u64 = 2 << 20;
const CAMERA: &str = "gate";

/// 13 slots of 1080p: 38.6 MiB.
const LARGE: (u32, u32, u32) = (1920, 1080, 13);
/// 4 slots of 360p: 1.3 MiB, less than a huge page.
const SMALL: (u32, u32, u32) = (640, 360, 4);

struct Rig {
    export: CameraExport,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
        let notifier = Arc::new(Notifier::start().unwrap());
        let camera = CameraId::new(CAMERA).unwrap();
        let export = CameraExport::claim(&root, &camera, &notifier).unwrap();
        Self { export, _dir: dir }
    }

    fn dir(&self) -> &Path {
        self._dir.path()
    }

    fn open(&mut self, (width, height, slots): (u32, u32, u32)) -> RingWriter {
        let geometry = Geometry::new(width, height, Color::default(), 8).unwrap();
        let options = RingOptions { slots, lease: Duration::ZERO, frame_rate: None };
        match self.export.open_ring(geometry, options).unwrap() {
            OpenRing::Ready(writer) => writer,
            OpenRing::NotBefore(_) => panic!("a ring is in the way"),
        }
    }

    /// Bytes of memory that the ring's file takes, by the file system.
    fn taken(&self) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(self.dir().join(CAMERA).join("frame.data")).unwrap().blocks() * 512
    }
}

fn publish(writer: &mut RingWriter, id: u64) {
    let geometry = *writer.geometry();
    let (stride, luma) = (geometry.stride() as usize, geometry.uv_offset() as usize);
    let bytes = vec![id as u8; geometry.picture_bytes() as usize];
    let (y, uv) = bytes.split_at(luma);
    let mut slot = writer.claim(monotonic_ns()).unwrap();
    let picture = Picture::Nv12 { y: Plane { data: y, stride }, uv: Plane { data: uv, stride } };
    slot.write(&picture, StoreKind::Auto).unwrap();
    slot.publish(&PublishMeta {
        frame_id: id,
        arrival_ns: monotonic_ns(),
        ..PublishMeta::default()
    });
}

/// Publishes into each slot and reads all of it back.
fn exchange(rig: &Rig, writer: &mut RingWriter, ids: std::ops::Range<u64>) -> (Reader, Nv12Image) {
    let mut reader = Reader::options().dir(rig.dir()).open(CAMERA).unwrap();
    let mut image = Nv12Image::default();
    for id in ids {
        publish(writer, id);
        reader.next().unwrap().copy_if_valid(&mut image).unwrap();
        assert!(image.data().iter().all(|byte| *byte == id as u8), "frame {id}");
    }
    (reader, image)
}

/// Bytes by a line of smaps, of this process's mappings of `frame.data`.
fn mapped(line: &str) -> u64 {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut counts = false;
    let mut kib = 0;
    for text in smaps.lines() {
        let mut fields = text.split_whitespace();
        let first = fields.next().unwrap_or_default();
        if !first.ends_with(':') {
            counts = text.contains("frame.data");
        } else if counts && first == line {
            kib += fields.next().unwrap().parse::<u64>().unwrap();
        }
    }
    kib * 1024
}

#[test]
fn rings_take_the_memory_that_was_promised_with_and_without_huge_pages() {
    let whole = |bytes: u64| bytes / HUGE_PAGE * HUGE_PAGE;

    // Without: as on a kernel that is too old, or whose memory is in pieces.
    disable_transparent_huge_pages(true).unwrap();
    let mut rig = Rig::new();
    let mut writer = rig.open(LARGE);
    let pages = writer.pages();
    assert_eq!(pages.huge().bytes(), 0);
    assert!(pages.huge().refused().is_some(), "the reason is kept");
    assert_eq!(rig.taken(), pages.bytes() as u64);
    exchange(&rig, &mut writer, 1_000_000_000_000_000..1_000_000_000_000_020);
    assert_eq!(mapped("ShmemPmdMapped:"), 0);
    drop((writer, pages, rig));

    // With, where the kernel has them.
    disable_transparent_huge_pages(false).unwrap();
    let mut rig = Rig::new();
    let mut writer = rig.open(LARGE);
    let pages = writer.pages();
    let bytes = pages.bytes() as u64;
    assert_eq!(pages.start() as u64 % HUGE_PAGE, 0);
    assert_eq!(rig.taken(), bytes, "a ring takes no more than it did");
    // SAFETY: nobody writes before a slot is claimed.
    let zeros = unsafe { std::slice::from_raw_parts(pages.start(), pages.bytes()) };
    assert!(zeros.iter().all(|byte| *byte == 0), "nobody's memory is in it");
    let (reader, image) = exchange(&rig, &mut writer, 1_000_000_000_000_000..1_000_000_000_000_020);
    match pages.huge().refused() {
        None => {
            assert_eq!(pages.huge().bytes(), whole(bytes));
            // The writer's mapping and the reader's.
            assert_eq!(mapped("ShmemPmdMapped:"), 2 * whole(bytes));
        }
        Some(why) => {
            not_tried(&format!("a ring on huge pages ({why})"), "Linux 6.1 and unbroken memory")
        }
    }
    assert!(image.data().len() as u64 > HUGE_PAGE);
    drop(reader);

    // A smaller epoch in the same pages; a larger ring in new ones, the old one freed.
    drop(writer);
    let writer = rig.open((1280, 720, 13));
    assert_eq!(writer.pages().start(), pages.start());
    drop((writer, pages));
    let writer = rig.open((1920, 1088, 14));
    assert_eq!(rig.taken(), writer.pages().bytes() as u64);
    drop((writer, rig));

    let mut rig = Rig::new();
    let mut writer = rig.open(SMALL);
    let pages = writer.pages();
    assert_eq!((pages.huge().bytes(), pages.huge().refused().is_some()), (0, false));
    assert_eq!(rig.taken(), pages.bytes() as u64, "a small ring is not blown up");
    exchange(&rig, &mut writer, 1_000_000_000_000_000..1_000_000_000_000_009);
}
