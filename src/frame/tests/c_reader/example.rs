//! The example program in C: every frame and its pixels, across a change of size, a stop and a death.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use crate::build::Build;
use crate::rig::{Rig, geometry, open, pixels, publish};

const SOURCES: [&str; 2] = ["example.c", "vas_frame.c"];

struct Example {
    process: Child,
    lines: BufReader<ChildStdout>,
    words: BufReader<ChildStderr>,
}

impl Example {
    fn start(build: Build, rig: &Rig, arguments: &[&str]) -> Self {
        let mut process = build
            .program(&SOURCES)
            .arg("gate")
            .arg("--dir")
            .arg(rig.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let words = BufReader::new(process.stderr.take().unwrap());
        Self { process, lines, words }
    }

    fn sees(&mut self, id: u64, size: &str) {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("gate frame {id} {size} age ")), "{line:?}");
    }

    fn says(&mut self, words: &str) {
        let mut line = String::new();
        self.words.read_line(&mut line).unwrap();
        assert!(line.contains(words), "{line:?}, expected {words}");
    }

    /// Its exit code and last message.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.words.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap().code(), rest)
    }
}

#[test]
fn the_example_prints_every_frame_and_every_end() {
    for build in Build::ALL {
        let rig = Rig::new();
        let nv12 = rig.path().join("pixels.nv12");
        let mut export = rig.claim();
        let arguments = ["--count", "6", "--timeout", "60", "--nv12", nv12.to_str().unwrap()];
        let mut example = Example::start(build, &rig, &arguments);
        let mut expected = Vec::new();
        let mut writer = open(&mut export, 65, 33, 3);
        for id in 1..=2 {
            publish(&mut writer, id);
            example.sees(id, "65x33");
            expected.extend(pixels(id, &geometry(65, 33)));
        }
        drop(writer);
        let mut writer = open(&mut export, 320, 240, 3);
        for id in 3..=5 {
            publish(&mut writer, id);
            example.sees(id, "320x240");
            expected.extend(pixels(id, &geometry(320, 240)));
        }
        drop(writer);
        drop(export);
        example.says("the writer of camera gate is gone (stopped)");
        let mut writer = Writer::start(&rig);
        let id = writer.publish();
        example.sees(id, "64x48");
        expected.extend(pixels(id, &geometry(64, 48)));
        assert_eq!(example.end(), (Some(0), String::new()));
        assert!(std::fs::read(&nv12).unwrap() == expected, "{build:?}");
        writer.kill();
    }
}

#[test]
fn a_killed_writer_is_reported_and_its_successor_followed() {
    for build in Build::ALL {
        let rig = Rig::new();
        let mut writer = Writer::start(&rig);
        let mut example = Example::start(build, &rig, &["--count", "2", "--timeout", "60"]);
        let id = writer.publish();
        example.sees(id, "64x48");
        writer.kill();
        example.says("the writer of camera gate is gone (died)");
        let mut writer = Writer::start(&rig);
        let next = writer.publish();
        assert!(next > id);
        example.sees(next, "64x48");
        assert_eq!(example.end(), (Some(0), String::new()));
        writer.kill();
        let (code, words) = Example::start(build, &rig, &["--timeout", "60"]).end();
        assert_eq!(code, Some(3));
        assert!(words.contains("nobody holds their lock"), "{words}");
    }
}

#[test]
fn a_missing_camera_ring_and_frame_are_distinguished() {
    for build in Build::ALL {
        let rig = Rig::new();
        let end = |arguments: &[&str]| Example::start(build, &rig, arguments).end();
        assert_eq!(end(&["--nonsense", "1"]).0, Some(2));
        let (code, words) = end(&["--timeout", "60"]);
        assert!(code == Some(3) && words.starts_with("no such camera: "), "{code:?} {words}");
        let mut export = rig.claim();
        let quiet = |words: &str| {
            let (code, said) = end(&["--timeout", "0.05"]);
            assert!(code == Some(1) && said.starts_with(words), "{code:?} {said}");
        };
        quiet("no frame published yet since this reader attached to camera gate");
        let mut writer = open(&mut export, 16, 16, 3);
        quiet("no frame published yet since this reader attached to camera gate");
        publish(&mut writer, 1);
        let mut example = Example::start(build, &rig, &["--latest", "--timeout", "0.05"]);
        example.sees(1, "16x16");
        let (code, words) = example.end();
        assert_eq!(code, Some(1));
        assert!(words.starts_with("camera gate published no new frame within 50 ms"), "{words}");
    }
}

/// A writer in its own process, to be killed: this test binary, running `writer_process`.
struct Writer {
    process: Child,
    ids: BufReader<ChildStdout>,
}

const EXPORT_DIR: &str = "VAS_TEST_EXPORT_DIR";

impl Writer {
    fn start(rig: &Rig) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "example::writer_process", "--ignored", "--nocapture"])
            .env(EXPORT_DIR, rig.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ids = BufReader::new(process.stdout.take().unwrap());
        let mut writer = Self { process, ids };
        writer.until("ready");
        writer
    }

    /// The text after `word` in the next line that contains it.
    fn until(&mut self, word: &str) -> String {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(self.ids.read_line(&mut line).unwrap(), 0, "the writer ended");
        }
        line.split_once(word).unwrap().1.trim().to_owned()
    }

    fn publish(&mut self) -> u64 {
        self.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.until("published").parse().unwrap()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
#[ignore = "started by Writer"]
fn writer_process() {
    let Some(dir) = std::env::var_os(EXPORT_DIR) else { return };
    let rig = Rig::at(dir.as_ref());
    let mut export = rig.claim();
    let first = export.first_frame_id();
    let mut writer = open(&mut export, 64, 48, 4);
    println!("ready");
    for (id, line) in (first..).zip(std::io::stdin().lines()) {
        line.unwrap();
        publish(&mut writer, id);
        println!("published {id}");
    }
}
