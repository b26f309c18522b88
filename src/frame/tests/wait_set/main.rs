//! Waiting for several readers at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, Geometry, Notifier, OpenRing, PublishMeta,
    ReadError, Reader, RingOptions, RingWriter, WaitPoint, WaitSet, monotonic_ns,
};
use vas_malloc_count::count;

/// Far beyond what any wait takes: a test that reaches it fails.
const LONG: Duration = Duration::from_secs(60);

/// Cameras with a writer and a reader each.
struct Rig {
    exports: Vec<CameraExport>,
    writers: Vec<RingWriter>,
    readers: Vec<Reader>,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(cameras: usize) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
        let notifier = Arc::new(Notifier::start().unwrap());
        let (mut exports, mut writers, mut readers) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..cameras {
            let camera = CameraId::new(format!("c{number}")).unwrap();
            let mut export = CameraExport::claim(&root, &camera, &notifier).unwrap();
            writers.push(open_ring(&mut export, 16));
            let options = Reader::options().dir(dir.path()).timeout(Duration::ZERO);
            readers.push(options.open(&camera).unwrap());
            exports.push(export);
        }
        Self { exports, writers, readers, _dir: dir }
    }

    fn wait_points(&self) -> Vec<WaitPoint> {
        self.readers.iter().map(Reader::wait_point).collect()
    }
}

fn open_ring(export: &mut CameraExport, width: u32) -> RingWriter {
    let geometry = Geometry::new(width, 16, Color::default(), 8).unwrap();
    let options = RingOptions { slots: 4, lease: Duration::ZERO, frame_rate: None };
    let OpenRing::Ready(mut writer) = export.open_ring(geometry, options).unwrap() else {
        panic!("there is no lease to wait for")
    };
    writer.resume(0);
    writer
}

fn publish(writer: &mut RingWriter, frame_id: u64) {
    let arrival_ns = monotonic_ns();
    let slot = writer.claim(arrival_ns).unwrap();
    slot.publish(&PublishMeta { frame_id, arrival_ns, ..PublishMeta::default() });
}

/// Waits until the set says that something is ready.
fn until_ready(set: &mut WaitSet, points: &[WaitPoint]) {
    let start = std::time::Instant::now();
    while !set.wait(points, LONG) {
        assert!(start.elapsed() < LONG, "nothing was ready");
    }
}

/// A set with the kernel's call, and one that polls.
fn sets() -> [WaitSet; 2] {
    [WaitSet::new(), WaitSet::without_waitv()]
}

#[test]
fn the_camera_that_publishes_is_the_one_that_is_ready() {
    // The last ones are beyond what `futex_waitv` takes.
    for cameras in [3, 200] {
        let mut rig = Rig::new(cameras);
        for (round, mut set) in sets().into_iter().enumerate() {
            for (turn, index) in [0, cameras / 2, cameras - 1].into_iter().enumerate() {
                let points = rig.wait_points();
                let frame_id = (round * 3 + turn + 1) as u64;
                let writer = &mut rig.writers[index];
                std::thread::scope(|scope| {
                    scope.spawn(|| publish(writer, frame_id));
                    until_ready(&mut set, &points);
                });
                let ready: Vec<_> =
                    (0..cameras).filter(|index| points[*index].is_ready()).collect();
                assert_eq!(ready, [index], "{cameras} cameras");
                assert_eq!(rig.readers[index].newer().unwrap().id(), frame_id);
            }
        }
    }
}

#[test]
fn what_is_published_between_the_watch_and_the_wait_is_ready() {
    let mut rig = Rig::new(2);
    for mut set in sets() {
        let points = rig.wait_points();
        publish(&mut rig.writers[1], points.len() as u64);
        assert!(set.wait(&points, LONG));
        assert!(!points[0].is_ready() && points[1].is_ready());
    }
}

#[test]
fn nothing_is_ready_while_nothing_is_published() {
    let rig = Rig::new(2);
    for mut set in sets() {
        let points = rig.wait_points();
        assert!(!set.wait(&points, LONG), "a slice ends");
        assert!(!set.wait(&points, Duration::ZERO));
        assert!(points.iter().all(WaitPoint::is_live));
    }
}

#[test]
fn a_waker_ends_the_wait() {
    let rig = Rig::new(1);
    for mut set in sets() {
        let (points, waker) = (rig.wait_points(), set.waker());
        // Before the wait, and with nothing to wait for.
        waker.wake();
        assert!(set.wait(&points, LONG));
        waker.wake();
        assert!(set.wait(&[], LONG));
        assert!(!set.wait(&[], Duration::ZERO), "it counts once");
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            until_ready(&mut set, &points);
        });
        assert!(!points[0].is_ready());
    }
}

#[test]
fn an_epochs_end_is_ready_and_the_next_is_followed() {
    let mut rig = Rig::new(1);
    let mut set = WaitSet::new();
    publish(&mut rig.writers[0], 1);
    assert_eq!(rig.readers[0].newer().unwrap().id(), 1);
    let points = rig.wait_points();
    rig.writers.clear();
    let mut writer = open_ring(&mut rig.exports[0], 32);
    until_ready(&mut set, &points);
    publish(&mut writer, 2);
    // The ring that the reader has is over, so there is nothing to wait for: it looks.
    let points = rig.wait_points();
    assert!(!points[0].is_live() && !points[0].is_ready());
    let frame = rig.readers[0].newer().unwrap();
    assert_eq!((frame.id(), frame.geometry().width()), (2, 32));
    assert!(!rig.wait_points()[0].is_ready());
}

#[test]
fn without_a_writer_nothing_is_live() {
    let mut rig = Rig::new(1);
    publish(&mut rig.writers[0], 1);
    rig.readers[0].newer().unwrap();
    rig.writers.clear();
    rig.exports.clear();
    assert!(!rig.wait_points()[0].is_live());
    assert!(matches!(rig.readers[0].newer(), Err(ReadError::WriterGone { .. })));
    let points = rig.wait_points();
    assert!(!points[0].is_live() && !points[0].is_ready());
    assert!(!WaitSet::new().wait(&points, LONG), "to look for the next writer");
}

#[test]
fn waiting_allocates_nothing() {
    let mut rig = Rig::new(3);
    for mut set in sets() {
        let points = rig.wait_points();
        assert_eq!(count(|| set.wait(&points, Duration::from_millis(1))), (false, 0));
        publish(&mut rig.writers[0], 1);
        assert_eq!(count(|| set.wait(&points, LONG)), (true, 0));
    }
}
