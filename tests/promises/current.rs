//! What a reader is given is current: a gap in copying is a pause, and who attaches behind it is given nothing from
//! before it attached, by whichever reader.

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

/// The readers, each as a program that prints a line a frame and ends with 1 when none comes in time.
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

    /// Nobody is given a frame, neither the newest nor the oldest.
    fn find_nothing(&self, service: &Service) {
        for latest in [&["--latest"][..], &[]] {
            for (name, mut reader) in self.all() {
                // `vas watch` shows the newest anyway.
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

/// Whether `frame.meta` says that copying goes on.
fn copying(service: &Service) -> bool {
    let meta = std::fs::read(service.dir().join("cam/frame.meta")).unwrap();
    // docs/ref/frame-format.md
    meta[260..264] != [0; 4]
}

fn config(camera: &Camera, lines: &str) -> String {
    format!("[[camera]]\nid = \"cam\"\nurl = {:?}\n{lines}\n", camera.url())
}

#[test]
fn after_an_outage_who_attaches_gets_nothing_from_before() {
    let readers = Readers::build();
    // With somebody who reads all the while, and with nobody.
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
fn a_camera_that_falls_silent_is_a_gap_long_before_it_is_given_up() {
    let readers = Readers::build();
    for stays in [true, false] {
        let camera = Camera::start(&[&CLIP.make()], ",loop");
        let lines = "read_timeout = \"300s\"\ntransport = \"tcp\"";
        let mut service = Service::start("true", "", &config(&camera, lines));
        let reader = service.until_read("cam");
        until("copying", || copying(&service).then_some(()));
        camera.signal("STOP");
        let reader = stays.then_some(reader);
        until("the gap to be told", || (!copying(&service)).then_some(()));
        let seen = service.until("status", |_| true);
        assert_eq!(seen["state"], "streaming", "it is not given up yet: {seen}");
        readers.find_nothing(&service);
        drop(reader);
        // It goes on where it comes again, without a new connection.
        camera.signal("CONT");
        Watcher::attach(&service, "cam").next_frame();
    }
}

#[test]
fn between_the_few_frames_of_a_slow_export_who_attaches_waits_for_the_next() {
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
