//! A writer and its readers in one process, on a real tmpfs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_frame::{
    Access, CameraExport, CameraId, Color, Crop, Demanded, ExportError, ExportRoot, Flags, Frame,
    FrameRate, Geometry, MaxFps, Notifier, Nv12Image, OpenError, OpenRing, Placement, PublishMeta,
    Range, ReadError, Reader, Rect, Refused, RingOptions, RingWriter, Size, WriterEnd,
    monotonic_ns,
};

mod edges;

const NO_WAIT: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

struct Rig {
    dir: tempfile::TempDir,
    notifier: Arc<Notifier>,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        Self { dir, notifier: Arc::new(Notifier::start().unwrap()) }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn claim(&self) -> Result<CameraExport, ExportError> {
        let root = Arc::new(ExportRoot::open(self.path(), Access::default()).unwrap());
        CameraExport::claim(&root, &camera(), &self.notifier)
    }

    /// The error that a second writer gets.
    fn held(&self) -> Box<dyn std::error::Error> {
        Box::new(self.claim().unwrap_err())
    }

    fn reader(&self) -> Reader {
        Reader::options().dir(self.path()).open(camera()).unwrap()
    }
}

fn camera() -> CameraId {
    CameraId::new("gate").unwrap()
}

fn geometry(width: u32, height: u32) -> Geometry {
    let color = Color { range: Range::Full, matrix: 1, ..Color::default() };
    Geometry::new(width, height, color, 8).unwrap()
}

fn options(slots: u32, lease_ms: u64) -> RingOptions {
    RingOptions {
        slots,
        lease: Duration::from_millis(lease_ms),
        frame_rate: Some(FrameRate { num: 25, den: 1 }),
    }
}

fn open(export: &mut CameraExport, geometry: Geometry, options: RingOptions) -> RingWriter {
    match export.open_ring(geometry, options).unwrap() {
        OpenRing::Ready(mut writer) => {
            writer.resume(0);
            writer
        }
        OpenRing::NotBefore(_) => panic!("no lease to wait for"),
    }
}

/// Publishes a picture with the frame's id in every byte.
fn publish(writer: &mut RingWriter, id: u64) -> Result<(), Refused> {
    let mut slot = writer.claim(monotonic_ns())?;
    let g = *slot.geometry();
    let (w, h) = (g.width() as usize, g.height() as usize);
    let bytes = vec![id as u8; w * h];
    let plane = |stride| Plane { data: &bytes[..], stride };
    let (y, c) = (plane(w), plane(w.div_ceil(2)));
    slot.write(&Picture::Yuv420p { y, u: c, v: c }, StoreKind::Auto).unwrap();
    slot.publish(&PublishMeta {
        frame_id: id,
        arrival_ns: monotonic_ns(),
        ..PublishMeta::default()
    });
    Ok(())
}

#[test]
fn a_look_gives_nothing() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(4, 0));
    let mut reader = rig.reader();
    assert!(matches!(reader.peek(), Err(ReadError::NotYet { .. })));
    assert!(matches!(reader.held(), Err(ReadError::NotYet { .. })));
    (1..=6).for_each(|id| publish(&mut writer, id).unwrap());
    assert_eq!(reader.peek().unwrap().id(), 6);
    let held: Vec<_> = reader.held().unwrap().iter().map(Frame::id).collect();
    assert_eq!((held, reader.cursor()), (vec![3, 4, 5, 6], 0));
    assert_eq!(reader.set_timeout(NO_WAIT).next().unwrap().id(), 3);
}

#[test]
fn a_frame_is_read_as_it_was_published() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(33, 17), options(4, 0));
    let mut reader = rig.reader();
    let mut slot = writer.claim(monotonic_ns()).unwrap();
    let y: Vec<u8> = (0..33 * 17).map(|i| i as u8).collect();
    let uv: Vec<u8> = (0..34 * 9).map(|i| (i * 3) as u8).collect();
    let picture =
        Picture::Nv12 { y: Plane { data: &y, stride: 33 }, uv: Plane { data: &uv, stride: 34 } };
    slot.write(&picture, StoreKind::Streaming).unwrap();
    let placement = Placement {
        source: Size { width: 1920, height: 500 },
        content: Rect { x: 0, y: 4, width: 32, height: 10 },
    };
    let meta = PublishMeta {
        frame_id: 7,
        pts_ns: Some(-5),
        arrival_ns: 11,
        decoded_ns: 12,
        gate_ns: 13,
        wall_clock_ns: Some(1_700_000_000_000_000_000),
        flags: Flags::KEY.with(Flags::LOSS_UNKNOWN, true),
        coded: Size { width: 48, height: 32 },
        crop: Crop { left: 1, top: 2 },
        placement: Some(placement),
        decoder: vas_frame::Decoder::Software,
    };
    let published = slot.publish(&meta);

    let frame = reader.latest().unwrap();
    assert_eq!(frame.meta().publish_meta(), meta);
    assert_eq!(frame.meta().published_ns, published);
    assert_eq!((frame.meta().width, frame.meta().height), (33, 17));
    assert_eq!((frame.meta().content, frame.meta().source), (placement.content, placement.source));
    assert_eq!(frame.meta().to_source(0.5, 4.5), (30.0, 25.0));
    assert_eq!(frame.meta().to_source(0.5, 1.0), (30.0, 0.0), "in a bar");
    assert_eq!(frame.geometry(), geometry(33, 17));
    let mut image = Nv12Image::default();
    frame.copy_if_valid(&mut image).unwrap();
    assert_eq!((image.luma(), image.chroma()), (&y[..], &uv[..]));
    assert!(frame.still_valid());
}

#[test]
fn pages_outlive_their_rings_and_detect_the_last_holder() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let writer = open(&mut export, geometry(64, 64), options(3, 0));
    let mut pages = writer.pages();
    drop(writer);
    // The next epoch fits into these pages.
    let mut writer = open(&mut export, geometry(48, 64), options(2, 0));
    assert_eq!(writer.pages().start(), pages.start());
    assert_eq!(pages.bytes() as u64, 3 * geometry(64, 64).slot_stride());
    let mut slot = writer.claim(monotonic_ns()).unwrap();
    let (luma, _) = slot.planes_mut();
    assert_eq!(luma.as_mut_ptr(), pages.start());
    drop((writer, export));
    assert!(!pages.are_left(), "a slot is still claimed");
    drop(slot);
    assert!(pages.are_left());
    // SAFETY: mapped as long as `pages` lives, and used by nothing else.
    unsafe { pages.start().add(pages.bytes() - 1).write_volatile(1) };
}

#[test]
fn a_reader_before_the_first_ring_and_frame_gets_not_yet() {
    let rig = Rig::new();
    assert!(matches!(
        Reader::options().dir(rig.path()).open(camera()),
        Err(OpenError::NoCamera { .. })
    ));
    let mut export = rig.claim().unwrap();
    let mut reader = rig.reader();
    assert!(matches!(reader.latest(), Err(ReadError::NotYet { .. })));
    let mut writer = open(&mut export, geometry(16, 16), options(2, 0));
    assert!(matches!(reader.seek(0).set_timeout(NO_WAIT).newer(), Err(ReadError::NotYet { .. })));
    publish(&mut writer, 1).unwrap();
    assert_eq!(reader.latest().unwrap().meta().frame_id, 1);
    assert!(matches!(reader.seek(1).set_timeout(NO_WAIT).newer(), Err(ReadError::TimedOut { .. })));
}

#[test]
fn frames_from_before_a_pause_are_not_current() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(4, 0));
    publish(&mut writer, 1).unwrap();
    let mut early = rig.reader();
    assert_eq!(early.latest().unwrap().meta().frame_id, 1, "copying did not pause");
    writer.pause();
    let mut late = rig.reader();
    assert!(matches!(late.latest(), Err(ReadError::NotYet { .. })));
    assert!(matches!(late.seek(0).set_timeout(NO_WAIT).newer(), Err(ReadError::TimedOut { .. })));
    publish(&mut writer, 5).unwrap();
    writer.resume(5);
    for reader in [&mut early, &mut late, &mut rig.reader()] {
        assert_eq!(reader.seek(0).set_timeout(LONG).next().unwrap().meta().frame_id, 5);
    }
}

/// Readers that attach after a frame was left out, for whatever reason, get nothing from before it.
#[test]
fn an_abandoned_slot_and_a_quiet_camera_are_pauses() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(4, 0));
    let mut early = rig.reader();
    publish(&mut writer, 1).unwrap();
    drop(writer.claim(monotonic_ns()).unwrap());
    assert!(
        matches!(rig.reader().latest(), Err(ReadError::NotYet { .. })),
        "a frame was abandoned"
    );
    assert_eq!(
        early.latest().unwrap().meta().frame_id,
        1,
        "older frames stay for readers attached before"
    );
    writer.resume(2);
    assert!(matches!(rig.reader().latest(), Err(ReadError::NotYet { .. })), "no frame came since");
    publish(&mut writer, 2).unwrap();
    assert_eq!(rig.reader().seek(0).set_timeout(NO_WAIT).next().unwrap().meta().frame_id, 2);
    let newest_ns = rig.reader().latest().unwrap().meta().published_ns;
    export.pause_if_quiet(newest_ns + 499, Duration::from_nanos(500));
    assert_eq!(rig.reader().latest().unwrap().meta().frame_id, 2, "not quiet for long enough");
    export.pause_if_quiet(newest_ns + 500, Duration::from_nanos(500));
    assert!(matches!(rig.reader().latest(), Err(ReadError::NotYet { .. })), "quiet");
    // The next frame ends the pause, since the writer resumes with each.
    writer.resume(3);
    publish(&mut writer, 3).unwrap();
    assert_eq!(rig.reader().seek(0).set_timeout(NO_WAIT).next().unwrap().meta().frame_id, 3);
}

#[test]
fn readers_are_counted_while_attached() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    assert_eq!(export.demanded(), Demanded::Nothing);
    let five = MaxFps::new(5, 1);
    let slow = Reader::options().dir(rig.path()).max_rate(five.unwrap()).open(camera()).unwrap();
    assert_eq!(export.demanded(), Demanded::Rates(vec![five.unwrap()]));
    let fast = rig.reader();
    assert_eq!(export.demanded(), Demanded::EveryFrame);
    drop(fast);
    drop(slow);
    assert_eq!(export.demanded(), Demanded::Nothing);
    let _writer = open(&mut export, geometry(16, 16), options(2, 0));
    let _reader = rig.reader();
    assert_eq!(export.demanded(), Demanded::EveryFrame, "a ring does not change the demand");
}

/// Changes of size that come faster than retired rings expire: their memory stays below the cap, and the
/// export continues.
#[test]
fn many_changes_of_size_hold_bounded_memory() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut largest = 0;
    let mut readers = Vec::new();
    for step in 1..=100 {
        let grown = geometry(1280 + 16 * step, 720);
        let mut writer = open(&mut export, grown, options(4, 0));
        publish(&mut writer, u64::from(step)).unwrap();
        // Each reader keeps its epoch mapped.
        readers.push(rig.reader().latest().unwrap());
        largest = grown.ring_bytes(4);
        let held = export.retired_bytes() + largest;
        assert!(held <= 2 * largest + (64 << 20), "{step}: {} MiB", held >> 20);
    }
    let fs = rustix::fs::statvfs(rig.path()).unwrap();
    assert!(fs.f_bavail > 0);
    assert!(readers.last().unwrap().still_valid());
    assert!(!readers[0].still_valid(), "the oldest was freed");
    assert!(largest > 0);
}

/// Memory pinned by a device stays in use, whatever the file system reports for a punched file: it is not
/// admitted for another ring.
#[test]
fn a_retired_ring_that_is_pinned_is_not_free() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    // More than retired rings may hold.
    let sizes = [1920, 1984, 2048].map(|width| geometry(width, 1080));
    let mut ring = |size| export.open_ring(size, options(24, 0));
    let Ok(OpenRing::Ready(writer)) = ring(sizes[0]) else { panic!("no ring") };
    let first = sizes[0].ring_bytes(24) - vas_frame::layout::meta_bytes(24);
    // As an engine holds the pages that it pinned.
    let mut pinned = writer.pages();
    drop(writer);
    let Ok(OpenRing::Ready(writer)) = ring(sizes[1]) else { panic!("no ring") };
    drop(writer);
    let blocked = ring(sizes[2]).unwrap();
    assert!(matches!(blocked, OpenRing::NotBefore(_)), "{blocked:?}");
    assert_eq!(export.retired_bytes(), first);
    // Only the engine holds the pages, so it unpins them; then they are free.
    assert!(pinned.are_left());
    drop(pinned);
    let free = export.open_ring(sizes[2], options(24, 0)).unwrap();
    assert!(matches!(free, OpenRing::Ready(_)), "{free:?}");
    let second = sizes[1].ring_bytes(24) - vas_frame::layout::meta_bytes(24);
    assert_eq!(export.retired_bytes(), second);
}

#[test]
fn newer_returns_the_newest_and_next_the_oldest() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(4, 0));
    let mut reader = rig.reader();
    for id in 1..=6 {
        publish(&mut writer, id).unwrap();
    }
    assert_eq!(reader.seek(0).set_timeout(NO_WAIT).newer().unwrap().meta().frame_id, 6);
    let ids = |reader: &mut Reader| {
        let mut last = 0;
        std::iter::from_fn(|| {
            last = reader.seek(last).set_timeout(NO_WAIT).next().ok()?.meta().frame_id;
            Some(last)
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(ids(&mut reader), [3, 4, 5, 6]);
    let mut judged = Vec::new();
    let refused = reader.seek(0).set_timeout(NO_WAIT).newer_if(|meta| {
        judged.push(meta.frame_id);
        false
    });
    assert!(refused.is_err());
    assert_eq!(judged, [6], "each frame is judged at most once");
}

#[test]
fn an_overwritten_frame_is_refused() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(64, 64), options(2, 0));
    let mut reader = rig.reader();
    publish(&mut writer, 1).unwrap();
    let frame = reader.latest().unwrap();
    publish(&mut writer, 2).unwrap();
    assert!(frame.still_valid());
    let claimed = writer.claim(monotonic_ns()).unwrap();
    assert!(!frame.still_valid());
    let mut image = Nv12Image::default();
    assert_eq!(frame.copy_if_valid(&mut image).unwrap_err().frame_id, 1);
    assert!(image.data().is_empty());
    // An abandoned slot holds no frame, and the older frame stays.
    drop(claimed);
    assert_eq!(reader.seek(0).set_timeout(NO_WAIT).newer().unwrap().meta().frame_id, 2);
}

#[test]
fn a_picture_that_is_too_small_is_refused_and_writes_nothing() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(64, 64), options(2, 0));
    let mut slot = writer.claim(monotonic_ns()).unwrap();
    let bytes = [1; 64 * 64];
    let (whole, short) = (&bytes[..], &bytes[1..]);
    let plane = |data, stride| Plane { data, stride };
    let half = plane(&whole[..32 * 32], 32);
    for y in [plane(short, 64), plane(whole, 63), plane(&[], 64), plane(whole, usize::MAX / 64)] {
        let picture = Picture::Yuv420p { y, u: half, v: half };
        assert!(slot.write(&picture, StoreKind::Auto).is_err());
    }
    assert!(slot.planes_mut().0.iter().all(|byte| *byte == 0));
    let picture = Picture::Yuv420p { y: plane(whole, 64), u: half, v: half };
    slot.write(&picture, StoreKind::Auto).unwrap();
}

#[test]
fn one_slot_is_a_ring_too() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(1, 0));
    let mut reader = rig.reader();
    for id in 1..=3 {
        publish(&mut writer, id).unwrap();
        assert_eq!(reader.latest().unwrap().meta().frame_id, id);
    }
    let _claimed = writer.claim(monotonic_ns()).unwrap();
    assert!(reader.latest().is_err());
    assert_eq!(writer.claim(monotonic_ns()).unwrap_err(), Refused::InFlight);
}

#[test]
fn a_lease_holds_and_the_new_frame_is_dropped() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(16, 16), options(3, 1_000_000));
    let mut reader = rig.reader();
    for id in 1..=3 {
        publish(&mut writer, id).unwrap();
    }
    let held: Vec<_> =
        (0..3).map(|id| reader.seek(id).set_timeout(NO_WAIT).next().unwrap()).collect();
    assert_eq!(publish(&mut writer, 4).unwrap_err(), Refused::Lease);
    assert!(held.iter().all(vas_frame::Frame::still_valid));
    let until = held[0].meta().reuse_not_before_ns;
    assert!(until > monotonic_ns());
    // Time is an argument: after its lease the oldest slot can be claimed, and only that one.
    let claimed = writer.claim(until).unwrap();
    assert_eq!(held.iter().map(|f| f.still_valid()).collect::<Vec<_>>(), [false, true, true]);
    drop(claimed);
}

#[test]
fn readers_follow_a_larger_and_a_smaller_picture() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(64, 64), options(4, 0));
    let mut reader = rig.reader();
    publish(&mut writer, 1).unwrap();
    let old = reader.seek(0).set_timeout(LONG).newer().unwrap();

    drop(writer);
    let mut writer = open(&mut export, geometry(640, 480), options(4, 0));
    assert!(old.still_valid(), "growth leaves the old ring readable");
    assert_eq!(export.retired_bytes(), 4 * 8192);
    publish(&mut writer, 2).unwrap();
    let grown = reader.seek(1).set_timeout(LONG).newer().unwrap();
    assert_eq!((grown.meta().frame_id, grown.meta().width), (2, 640));
    assert!(grown.meta().epoch > old.meta().epoch);

    drop(writer);
    let mut writer = open(&mut export, geometry(32, 32), options(4, 0));
    assert!(!grown.still_valid(), "the pages were reused");
    publish(&mut writer, 3).unwrap();
    let small = reader.seek(2).set_timeout(LONG).newer().unwrap();
    assert_eq!((small.meta().frame_id, small.meta().width), (3, 32));
    let mut image = Nv12Image::default();
    small.copy_if_valid(&mut image).unwrap();
    assert!(image.data().iter().all(|byte| *byte == 3));
}

/// The writer changes the size while the reader judges the first frame.
#[test]
fn the_last_frame_before_a_change_of_size_is_not_missed() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = Some(open(&mut export, geometry(64, 64), options(4, 0)));
    let mut reader = rig.reader();
    publish(writer.as_mut().unwrap(), 1).unwrap();
    let found = reader.seek(0).set_timeout(NO_WAIT).newer_if(|meta| {
        let Some(mut old) = writer.take() else { return true };
        publish(&mut old, meta.frame_id + 1).unwrap();
        drop(old);
        open(&mut export, geometry(640, 480), options(4, 0));
        false
    });
    assert_eq!(found.unwrap().meta().frame_id, 2);
}

#[test]
fn pages_are_not_reused_within_a_lease_or_during_a_copy() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    let mut writer = open(&mut export, geometry(64, 64), options(4, 1_000_000));
    publish(&mut writer, 1).unwrap();
    let in_flight = writer.claim(monotonic_ns()).unwrap();
    drop(writer);
    let smaller =
        |export: &mut CameraExport| export.open_ring(geometry(32, 32), options(4, 0)).unwrap();
    assert!(matches!(smaller(&mut export), OpenRing::NotBefore(_)), "a copy is in flight");
    drop(in_flight);
    let OpenRing::NotBefore(until) = smaller(&mut export) else { panic!("a lease has not ended") };
    assert!(until > monotonic_ns() + 1_000_000_000);
}

/// A copy that never ends keeps the pages of its ring, and no later ring waits for them.
#[test]
fn a_ring_that_a_copy_never_leaves_holds_up_no_later_ring() {
    let rig = Rig::new();
    let mut export = rig.claim().unwrap();
    // More than all retired rings may hold.
    let mut writer = open(&mut export, geometry(3840, 2160), options(6, 0));
    let hanging = writer.claim(monotonic_ns()).unwrap();
    drop(writer);
    let begun_ns = monotonic_ns();
    for slots in [2, 3, 4] {
        let writer = loop {
            match export.open_ring(geometry(640, 360), options(slots, 0)).unwrap() {
                OpenRing::Ready(writer) => break writer,
                OpenRing::NotBefore(at_ns) => assert!(at_ns < begun_ns + 30_000_000_000),
            }
        };
        drop(writer);
    }
    assert!(export.retired_bytes() > 64 << 20, "the pages are left to the copy");
    drop(hanging);
    while export.retired_bytes() > 64 << 20 {
        assert!(export.housekeep());
        std::thread::yield_now();
    }
}
