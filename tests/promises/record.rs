//! Recordings are exactly what the camera sent, whatever else uses the stream, and survive crashes, full
//! disks and missing folders.

use std::path::Path;

use serde_json::Value;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::recording::{contents, files, fragments, packets, pictures, until};
use vas_tests::service::{Reader, Service, Tmpfs};

const SHORT: Clip =
    Clip { encoder: "libx264", size: "640x360", pixels: "yuv420p", range: "tv", frames: 60 };
const LONG: Clip = Clip { frames: 150, ..SHORT };

/// One camera that is recorded into `dir`, with further lines for it.
fn config(dir: &Path, url: &str, lines: &str) -> String {
    format!(
        "[record]\ndir = {dir:?}\nsegment = \"1s\"\n[[camera]]\nid = \"cam\"\nurl = {url:?}\n{lines}\n"
    )
}

fn one_file(dir: &Path, url: &str, lines: &str) -> String {
    config(dir, url, lines).replace("segment = \"1s\"\n", "")
}

fn recorder_is(state: &str) -> impl Fn(&Value) -> bool {
    move |camera| camera["recorder"]["state"] == state
}

/// Plays a camera once to a service; returns the recorded packets and the camera's status.
fn recorded(clip: Clip, flag: &str, lines: &str, arguments: &[&str]) -> (Vec<String>, Value) {
    let camera = Camera::start(&[&clip.make()], ",once");
    let dir = tempfile::tempdir().unwrap();
    let cameras = one_file(dir.path(), &camera.url(), lines);
    let mut service = Service::start_with(flag, "", &cameras, arguments);
    let _reader = (flag == "true").then(|| {
        service.until_exported("cam");
        Reader(service.watch("cam", &["--timeout", "3600"]))
    });
    let seen =
        service.until("a closed file", |camera| camera["recorder"]["files"].as_u64() >= Some(1));
    // The service reconnects and the camera plays again, into another file.
    let file = files(dir.path(), "cam", ".mp4").remove(0);
    (packets(&file), seen)
}

#[test]
fn the_same_packets_are_recorded_with_the_flag_on_and_off() {
    for client in ["retina", "ffmpeg"] {
        let line = format!("rtsp_client = {client:?}");
        let (on, off) = std::thread::scope(|scope| {
            let on = scope.spawn(|| recorded(SHORT, "true", &line, &[]));
            (on.join().unwrap(), recorded(SHORT, "false", &line, &[]))
        });
        assert_eq!(on.0.len(), 60, "{client}: not all that the camera sent: {:#?}", on.0);
        assert_eq!(contents(&on.0), contents(&off.0), "{client}");
        assert!(on.1["decoded"].as_u64() > Some(0), "the tap did not run: {}", on.1);
        assert_eq!(off.1["decoder"], Value::Null);
    }
}

#[test]
fn a_slow_decoder_costs_the_recorder_nothing() {
    // A picture comes every 100 ms and takes 300.
    let slow = ["--test-decode-delay", "300"];
    let (slow, seen) = recorded(LONG, "true", "idle = \"decode\"", &slow);
    assert!(seen["dropped"]["overload"].as_u64() > Some(0), "the decoder is not too slow: {seen}");
    let dropped = seen["recorder"]["dropped"].as_object().unwrap();
    assert!(dropped.values().all(|count| count == 0), "{seen}");
    assert_eq!(slow.len(), 150);
    let (alone, _) = recorded(LONG, "false", "", &[]);
    assert_eq!(contents(&slow), contents(&alone));
}

#[test]
#[ignore = "a measurement, not a check"]
fn measure_age_under_overload() {
    let camera = Camera::start(&[&LONG.make()], "");
    let dir = tempfile::tempdir().unwrap();
    let cameras = config(dir.path(), &camera.url(), "idle = \"decode\"");
    let slow = ["--test-decode-delay", "300"];
    let mut service = Service::start_with("true", "", &cameras, &slow);
    let _reader = service.until_read("cam");
    let seen = service.until("frames", |camera| camera["exported"].as_u64() >= Some(100));
    println!(
        "age p50 {} ms, p99 {} ms; GOP 2500 ms; dropped {}; recorder {}",
        seen["export"]["age"]["p50_ms"],
        seen["export"]["age"]["p99_ms"],
        seen["dropped"],
        seen["recorder"]
    );
}

#[test]
fn the_recorder_knows_nothing_of_the_tap() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/record/src");
    let mut looked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let uses = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (n, line) in uses.enumerate() {
            for word in
                ["export::", "flag::", "FrameExport", "FrameSink", "Demand", "Decode", "Frame,"]
            {
                assert!(
                    !line.contains(word),
                    "{}: {word} in line {n} of code: {line}",
                    path.display()
                );
            }
        }
        looked += 1;
    }
    assert!(looked > 5, "{folder}");
}

#[test]
fn a_kill_costs_at_most_a_fragment_and_the_next_start_renames_the_file() {
    let camera = Camera::start(&[&LONG.make()], "");
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut service = Service::start("false", "", &config(dir, &camera.url(), ""));
    service.until("closed files", |camera| camera["recorder"]["files"].as_u64() >= Some(2));
    // An open file that has a fragment.
    let (open, before) = until("fragment in an open file", || {
        let open = files(dir, "cam", ".part").pop()?;
        let before = fragments(&open);
        (before > 0).then_some((open, before))
    });
    let closed = files(dir, "cam", ".mp4");
    service.crash_and_restart("false");
    let named = open.with_extension("");
    until("mended name", || (named.exists() && !open.exists()).then_some(()));
    for file in closed.iter().chain([&named]) {
        // Decodes from the first picture to the last, without an error.
        assert_eq!(pictures(file).len(), packets(file).len(), "{}", file.display());
    }
    assert!(packets(&named).len() >= 10, "a fragment is a second: {:?}", packets(&named));
    assert!(fragments(&named) + 1 >= before, "{before} fragments became {}", fragments(&named));
    service.until("recording again", recorder_is("recording"));
}

#[test]
fn a_full_disk_is_reported_and_clears_by_itself() {
    let camera = Camera::start(&[&LONG.make()], "");
    let dir = tempfile::tempdir().unwrap();
    // Needs root, as the tests of memory do.
    let _disk = Tmpfs::mount(dir.path(), "size=6m");
    let dir = dir.path();
    let cameras = config(dir, &camera.url(), "[camera.record]\nkeep_free = \"1MB\"");
    let mut service = Service::start("true", "", &cameras);
    let _reader = service.until_read("cam");
    service.until("recording", recorder_is("recording"));
    let ballast = dir.join("ballast");
    // Fills the disk, again and again, until nothing is free.
    let seen = service.until("a full disk", |camera| {
        let filled = std::fs::OpenOptions::new().create(true).append(true).open(&ballast);
        let _ = filled.and_then(|mut file| std::io::copy(&mut std::io::repeat(7), &mut file));
        recorder_is("full")(camera)
    });
    let reason = seen["recorder"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("no room on the disk of "), "{reason}");
    // Other parts are not affected.
    let exported = seen["exported"].as_u64();
    service.until("frames", |camera| camera["exported"].as_u64() > exported);
    std::fs::remove_file(&ballast).unwrap();
    service.until("recording again", recorder_is("recording"));
    // The oldest files are deleted when space is short.
    service
        .until("many files", |camera| camera["recorder"]["written_bytes"].as_u64() > Some(8 << 20));
    service.until("still recording", recorder_is("recording"));
    for file in files(dir, "cam", ".mp4").iter().take(2) {
        assert!(!packets(file).is_empty());
    }
}

#[test]
fn a_missing_folder_is_reported_and_recording_resumes() {
    let camera = Camera::start(&[&LONG.make()], "");
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("rec");
    let mut service = Service::start("false", "", &config(&dir, &camera.url(), ""));
    let seen = service.until("words", recorder_is("failed"));
    let reason = seen["recorder"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("there is no folder "), "{reason}");
    assert_eq!(seen["state"], "streaming", "the input goes on");
    std::fs::create_dir(&dir).unwrap();
    service.until("recording", recorder_is("recording"));
    std::fs::remove_dir_all(&dir).unwrap();
    service.until("words", recorder_is("failed"));
    std::fs::create_dir(&dir).unwrap();
    service.until("recording again", recorder_is("recording"));
    until("a file", || files(&dir, "cam", ".mp4").pop());
}

#[test]
fn a_folder_replaced_while_no_file_is_open_is_locked_again() {
    let clip = LONG.make();
    let arguments = ["--session-timeout", "4"];
    let camera = Camera::start_with(&[&clip], "", &arguments);
    let port = camera.port().to_string();
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("rec");
    std::fs::create_dir(&dir).unwrap();
    let limits = "connect_timeout = \"2s\"\nread_timeout = \"1s\"";
    let mut service = Service::start("false", "", &config(&dir, &camera.url(), limits));
    service.until("recording", recorder_is("recording"));
    drop(camera);
    service.until("a closed file", recorder_is("waiting"));
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::create_dir(&dir).unwrap();
    let _camera = Camera::start_with(&[&clip], "", &["--session-timeout", "4", "--port", &port]);
    service.until("recording again", |camera| {
        assert_ne!(camera["recorder"]["state"], "failed", "{camera}");
        recorder_is("recording")(camera)
    });
    until("a file", || files(&dir, "cam", ".mp4").pop());
}
