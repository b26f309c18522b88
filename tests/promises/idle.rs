//! Without readers nothing is decoded for the tap and nothing is copied. When a reader comes, frames follow
//! at once, decoded from the packets kept since the last key frame, and none from before it came.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use vas_harness::waiting;
use vas_tests::clip::run;
use vas_tests::service::{Reader, Service};

/// A minute of pictures with one key frame, at the start.
fn clip() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one-key-frame.mp4");
    run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"])
        .args(["-t", "60", "-c:v", "libx264", "-preset", "ultrafast", "-g", "100000"])
        .arg(&path));
    (dir, path)
}

/// A reader's first frame.
fn first_frame(service: &Service) -> (Reader, Value) {
    let mut reader = Reader(service.watch("cam", &["--timeout", "30"]));
    let _wait = waiting("a reader's first line");
    let mut line = String::new();
    BufReader::new(reader.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let first = serde_json::from_str(&line).unwrap_or_else(|_| {
        let mut words = String::new();
        reader.0.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        panic!("a reader ended without a line: {words}{:#?}\n{}", service.status(), service.log())
    });
    (reader, first)
}

fn start(idle: &str) -> (tempfile::TempDir, Service) {
    let (dir, clip) = clip();
    let camera = format!("[[camera]]\nid = \"cam\"\nurl = {clip:?}\nidle = {idle:?}\n");
    let mut service = Service::start("true", "", &camera);
    // Well after the only key frame.
    service.until("packets", |camera| camera["received"].as_u64() > Some(30));
    (dir, service)
}

#[test]
fn stop_decodes_for_readers_only_and_starts_with_the_kept_key_frame() {
    let (_dir, mut service) = start("stop");
    let camera = service.until("status", |camera| camera["received"].as_u64() > Some(30));
    assert_eq!((&camera["decoded"], &camera["decoder"]), (&Value::from(0), &Value::Null));
    assert_eq!(camera["export"]["ring_bytes"], 0, "no ring before the first reader");

    let (reader, first) = first_frame(&service);
    assert_eq!(first["key"], false, "it did not wait for a key frame: {first}");
    let camera = service.until("frames", |camera| camera["exported"].as_u64() > Some(0));
    assert!(camera["dropped"]["before_reader"].as_u64() >= Some(25), "{camera}");
    assert_eq!(camera["dropped"]["overload"], 0, "{camera}");

    drop(reader);
    let camera = service.until("rest", |camera| camera["decoder"].is_null());
    assert_eq!(camera["export"]["readers"], false);
    assert!(camera["dropped"]["no_reader"].as_u64() >= Some(200), "10 s of grace: {camera}");
    let decoded = camera["decoded"].as_u64();
    let received = camera["received"].as_u64().map(|n| n + 50);
    let camera = service.until("packets", |camera| camera["received"].as_u64() > received);
    assert_eq!(camera["decoded"].as_u64(), decoded);
}

#[test]
fn decode_keeps_the_decoder_warm_and_the_ring_ready() {
    let (_dir, mut service) = start("decode");
    let ready = |camera: &Value| camera["export"]["state"] == "open";
    let camera = service.until("the ring", ready);
    assert!(camera["decoded"].as_u64() > Some(0), "{camera}");
    assert_eq!(camera["exported"], 0, "{camera}");
    assert!(camera["dropped"]["no_reader"].as_u64() > Some(0), "{camera}");
    let (_reader, first) = first_frame(&service);
    assert_eq!(first["key"], false);
}
