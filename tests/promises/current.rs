//! Frames are current: a gap in copying is a pause, and a reader of any language that attaches after it gets
//! nothing from before it attached.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vas_frame::monotonic_ns;
use vas_tests::camera::Camera;
use vas_tests::clip::{Clip, run};
use vas_tests::recording::until;
use vas_tests::service::{Reader, Service, vas};
use vas_tests::watcher::Watcher;

const CLIP: Clip =
    Clip { encoder: "libx264", size: "320x240", pixels: "yuv420p", range: "tv", frames: 50 };

/// The readers, each as a program that prints a line per frame and exits with 1 if none comes in
/// time.
struct Readers {
    _work: tempfile::TempDir,
    c: PathBuf,
}

impl Readers {
    fn build() -> Self {
        let work = tempfile::tempdir().unwrap();
        let c = work.path().join("example");
        let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/c");
        let sources = ["example.c", "vas_frame.c"].map(|name| Path::new(sources).join(name));
        run(Command::new("gcc").args(["-std=c11", "-O2", "-o"]).arg(&c).args(sources));
        Self { _work: work, c }
    }

    fn all(&self) -> [(&'static str, Command); 3] {
        let mut rust = Command::new(vas());
        rust.arg("watch");
        let mut python = Command::new("/usr/bin/python3");
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/reader.py"));
        [("Rust", rust), ("C", Command::new(&self.c)), ("Python", python)]
    }

    /// No reader gets a frame, neither the newest nor the oldest.
    fn find_nothing(&self, service: &Service) {
        for latest in [&["--latest"][..], &[]] {
            for (name, mut reader) in self.all() {
                // `vas watch` always reads the newest.
                let latest = if name == "Rust" { &[] } else { latest };
                let reader = reader.args(["cam", "--count", "1", "--timeout", "1", "--dir"]);
                let output = reader.arg(service.dir()).args(latest).output().unwrap();
                let words = String::from_utf8_lossy(&output.stderr);
                let frames = String::from_utf8_lossy(&output.stdout);
                assert_eq!(output.status.code(), Some(1), "{name} {latest:?}: {frames}{words}");
            }
        }
    }
}

/// Whether `frame.meta` marks copying as running.
fn copying(service: &Service) -> bool {
    let meta = std::fs::read(service.dir().join("cam/frame.meta")).unwrap();
    // docs/ref/frame-format.md
    meta[260..264] != [0; 4]
}

fn config(camera: &Camera, lines: &str) -> String {
    format!("[[camera]]\nid = \"cam\"\nurl = {:?}\n{lines}\n", camera.url())
}

#[test]
fn a_reader_that_attaches_after_an_outage_gets_nothing_from_before() {
    let readers = Readers::build();
    // With a reader that stays attached, and with none.
    for stays in [true, false] {
        let camera = Camera::start(&[&CLIP.make()], ",loop");
        let lines = "connect_timeout = \"2s\"\nread_timeout = \"1s\"";
        let mut service = Service::start("true", "", &config(&camera, lines));
        let reader = service.until_read("cam");
        let reader = stays.then_some(reader);
        drop(camera);
        service.until("an outage", |camera| camera["state"] == "unreachable");
        readers.find_nothing(&service);
        drop(reader);
        assert_eq!(service.stop(), Some(0), "{}", service.log());
    }
}

#[test]
fn a_silent_camera_is_a_pause_long_before_it_counts_as_lost() {
    let readers = Readers::build();
    for stays in [true, false] {
        let camera = Camera::start(&[&CLIP.make()], ",loop");
        let lines = "read_timeout = \"300s\"\ntransport = \"tcp\"";
        let mut service = Service::start("true", "", &config(&camera, lines));
        let reader = service.until_read("cam");
        until("copying", || copying(&service).then_some(()));
        camera.signal("STOP");
        let reader = stays.then_some(reader);
        until("a pause in frame.meta", || (!copying(&service)).then_some(()));
        let seen = service.until("status", |_| true);
        assert_eq!(seen["state"], "streaming", "the camera does not count as lost yet: {seen}");
        readers.find_nothing(&service);
        drop(reader);
        // The camera continues on the same connection.
        camera.signal("CONT");
        Watcher::attach(&service, "cam").next_frame();
    }
}

#[test]
fn a_reader_that_attaches_to_a_slow_export_waits_for_the_next_frame() {
    let camera = Camera::start(&[&CLIP.make()], ",loop");
    let cameras = config(&camera, "[camera.export]\nmax_fps = 0.5");
    let mut service = Service::start("true", "slots = 4", &cameras);
    let _reader = service.until_read("cam");
    let left_out = |camera: &Value| camera["dropped"]["max_fps"].as_u64().unwrap();
    for _ in 0..2 {
        let before = left_out(&service.until("status", |_| true));
        service.until("frames left out", |camera| left_out(camera) > before);
        let attached_ns = monotonic_ns();
        let mut reader = Reader(service.watch("cam", &["--count", "1", "--timeout", "60"]));
        reader.0.wait().unwrap();
        let mut line = String::new();
        std::io::Read::read_to_string(&mut reader.0.stdout.take().unwrap(), &mut line).unwrap();
        let frame: Value = serde_json::from_str(&line).unwrap();
        let published_ns = frame["published_ns"].as_u64().unwrap();
        assert!(published_ns >= attached_ns, "{} ns too old", attached_ns - published_ns);
    }
}
