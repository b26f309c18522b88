//! `vas watch` with a writer in this process, on a real tmpfs.

use std::sync::Arc;

use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, FrameRate, Geometry, Notifier, OpenError,
    OpenRing, PublishMeta, RingOptions, RingWriter, monotonic_ns,
};

use super::*;

const SLOTS: u32 = 4;

/// A camera's export, and a writer to it.
struct Export {
    dir: tempfile::TempDir,
    notifier: Arc<Notifier>,
    writer: Option<(RingWriter, CameraExport)>,
}

impl Export {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let notifier = Arc::new(Notifier::start().unwrap());
        let mut export = Self { dir, notifier, writer: None };
        export.start();
        export
    }

    /// Another writer takes over the camera.
    fn start(&mut self) {
        let root = Arc::new(ExportRoot::open(self.dir.path(), Access::default()).unwrap());
        let mut export = CameraExport::claim(&root, &gate(), &self.notifier).unwrap();
        let geometry = Geometry::new(4, 2, Color::default(), 8).unwrap();
        let options = RingOptions {
            slots: SLOTS,
            lease: Duration::ZERO,
            frame_rate: Some(FrameRate { num: 25, den: 1 }),
        };
        let OpenRing::Ready(writer) = export.open_ring(geometry, options).unwrap() else {
            panic!("no lease is in the way")
        };
        self.writer = Some((writer, export));
    }

    fn stop(&mut self) {
        self.writer = None;
    }

    fn publish(&mut self, frame_id: u64) {
        let (writer, _) = self.writer.as_mut().unwrap();
        let mut slot = writer.claim(monotonic_ns()).unwrap();
        let y = Plane { data: &[1; 8], stride: 4 };
        let uv = Plane { data: &[2; 4], stride: 4 };
        slot.write(&Picture::Nv12 { y, uv }, StoreKind::Auto).unwrap();
        slot.publish(&PublishMeta {
            frame_id,
            arrival_ns: monotonic_ns(),
            ..PublishMeta::default()
        });
    }

    fn reader(&self) -> Reader {
        Reader::options().dir(self.dir.path()).open(gate()).unwrap()
    }

    fn args(&self) -> WatchArgs {
        let export = ExportArgs { camera: gate(), dir: self.dir.path().into(), wait: None };
        WatchArgs { export, json: false, md5: false, count: None, timeout: None, max_fps: None }
    }
}

fn gate() -> CameraId {
    "gate".parse().unwrap()
}

/// The output of a watch.
#[derive(Default)]
struct Said {
    out: Vec<u8>,
    notes: Vec<u8>,
}

impl Said {
    fn watch<'a>(&'a mut self, args: &'a WatchArgs, reader: Reader) -> Watch<'a> {
        Watch::new(args, reader, &mut self.out, &mut self.notes)
    }

    fn ids(&self) -> Vec<String> {
        let lines = str::from_utf8(&self.out).unwrap().lines();
        lines.map(|line| line.split(' ').nth(2).unwrap().to_owned()).collect()
    }

    fn notes(&self) -> &str {
        str::from_utf8(&self.notes).unwrap()
    }
}

/// Takes the frames that are currently in the ring.
fn take_all(watch: &mut Watch<'_>) {
    while let Ok(frame) = watch.reader.set_timeout(Duration::ZERO).next() {
        watch.take(frame).unwrap();
    }
}

#[test]
fn a_missing_camera_is_awaited_on_request() {
    let mut export = Export::new();
    let (mut args, stop) = (export.args().export, AtomicBool::new(false));
    export.stop();
    assert!(matches!(args.open(None, &stop), Err(OpenError::NoCamera { .. })));
    args.wait = Some(Duration::from_millis(1));
    assert!(matches!(args.open(None, &stop), Err(OpenError::NoCamera { .. })));
    args.wait = Some(Duration::from_secs(3600));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| args.open(None, &stop));
        export.start();
        assert!(waiting.join().unwrap().unwrap().is_some());
    });
    export.stop();
    stop.store(true, Ordering::Relaxed);
    assert!(args.open(None, &stop).unwrap().is_none());
}

#[test]
fn starts_with_the_newest_and_stops_at_the_count() {
    let mut export = Export::new();
    let args = WatchArgs { count: NonZeroU64::new(1), ..export.args() };
    let reader = export.reader();
    for id in 1..=3 {
        export.publish(id);
    }
    let mut said = Said::default();
    said.watch(&args, reader).run(&AtomicBool::new(false)).unwrap();
    assert_eq!(said.ids(), ["3"]);
    assert!(said.notes().starts_with("camera gate: 1 frame in "), "{}", said.notes());
    assert!(said.notes().contains("0 missed by this reader, 0 not exported"), "{}", said.notes());
}

#[test]
fn overwritten_frames_are_reported() {
    let mut export = Export::new();
    let (args, reader) = (export.args(), export.reader());
    let mut said = Said::default();
    let mut watch = said.watch(&args, reader);
    export.publish(1);
    take_all(&mut watch);
    for id in 2..=7 {
        export.publish(id);
    }
    take_all(&mut watch);
    assert_eq!((watch.missed, watch.not_exported), (2, 0));
    assert_eq!(said.ids(), ["1", "4", "5", "6", "7"]);
    assert_eq!(said.notes(), "camera gate: frames 2 to 3 were overwritten before they were read\n");
}

#[test]
fn frames_never_exported_are_not_missed() {
    let mut export = Export::new();
    let (args, reader) = (export.args(), export.reader());
    let mut said = Said::default();
    let mut watch = said.watch(&args, reader);
    export.publish(1);
    take_all(&mut watch);
    export.publish(5);
    take_all(&mut watch);
    assert_eq!((watch.missed, watch.not_exported), (0, 3));
    assert_eq!(said.notes(), "");
}

#[test]
fn the_next_writer_is_followed() {
    let mut export = Export::new();
    let (args, reader) = (export.args(), export.reader());
    let mut said = Said::default();
    let mut watch = said.watch(&args, reader);
    export.publish(1);
    take_all(&mut watch);
    export.stop();
    let gone = watch.reader.set_timeout(Duration::ZERO).next().unwrap_err();
    watch.bear(gone).unwrap();
    // A writer's first epoch is the millisecond of its start, so the two must not start in the same
    // one.
    let stopped_ns = monotonic_ns();
    while monotonic_ns() < stopped_ns + 2_000_000 {}
    export.start();
    export.publish(2_000_000);
    take_all(&mut watch);
    assert_eq!((watch.frames, watch.missed, watch.not_exported), (2, 0, 0));
    assert_eq!(said.notes(), "the writer of camera gate is gone (stopped); waiting for the next\n");
}

#[test]
fn the_time_limit_distinguishes_a_quiet_camera_from_a_dead_writer() {
    let mut export = Export::new();
    let args = WatchArgs { timeout: Some(Duration::from_millis(1)), ..export.args() };
    let reader = export.reader();
    export.publish(1);
    let mut said = Said::default();
    let mut watch = said.watch(&args, reader);
    take_all(&mut watch);
    let quiet = watch.follow(&AtomicBool::new(false)).unwrap_err();
    assert!(matches!(quiet, Failure::Read(ReadError::TimedOut { .. })), "{quiet}");
    assert!(quiet.to_string().contains("its writer is alive"), "{quiet}");
    export.stop();
    let dead = watch.follow(&AtomicBool::new(false)).unwrap_err();
    assert!(matches!(dead, Failure::NoNextWriter { .. }), "{dead}");
}

#[test]
fn md5_covers_the_visible_bytes() {
    let mut export = Export::new();
    let args = WatchArgs { md5: true, json: true, ..export.args() };
    let reader = export.reader();
    export.publish(1);
    let mut said = Said::default();
    let mut watch = said.watch(&args, reader);
    take_all(&mut watch);
    // printf '\1\1\1\1\1\1\1\1\2\2\2\2' | md5sum
    let line = str::from_utf8(&said.out).unwrap();
    assert!(line.contains("\"md5\":\"682952d8bef5928b5bfb0dd92abc1f1d\""), "{line}");
}

#[test]
fn a_stop_is_a_clean_end() {
    let export = Export::new();
    let (args, reader) = (export.args(), export.reader());
    let mut said = Said::default();
    said.watch(&args, reader).run(&AtomicBool::new(true)).unwrap();
    assert!(said.notes().starts_with("camera gate: 0 frames"), "{}", said.notes());
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut export = Export::new();
    let (args, reader) = (export.args(), export.reader());
    export.publish(1);
    let mut notes = Vec::new();
    let end = Watch::new(&args, reader, &mut Closed, &mut notes).run(&AtomicBool::new(false));
    assert!(matches!(end, Err(Failure::Stdout(e)) if e.kind() == io::ErrorKind::BrokenPipe));
    assert!(notes.is_empty());
}
