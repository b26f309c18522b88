//! Decoding does not depend on the tap, and a frame's age includes the decoder's backlog.

use vas_harness::Outcome as _;
use vas_tests::clip::Clip;
use vas_tests::service::{Service, frames};

/// The test frame sink's log of all decoded frames of a file camera.
fn decoded(flag: &str, url: &str) -> String {
    let log = tempfile::tempdir().unwrap();
    let dir = log.path().to_str().unwrap();
    let camera = format!("[[camera]]\nid = \"cam\"\nurl = {url:?}\n");
    let mut service = Service::start_with(flag, "", &camera, &["--test-frame-log", dir]);
    // The file has ended and all its packets are decoded.
    service.until("the end", |camera| {
        camera["state"] == "ended" && camera["decoded"] == camera["received"]
    });
    assert_eq!(service.stop(), Some(0));
    std::fs::read_to_string(log.path().join("cam.frames")).unwrap()
}

#[test]
fn the_same_frames_are_decoded_with_the_flag_on_and_off() {
    let clip =
        Clip { encoder: "libx264", size: "640x360", pixels: "yuv420p", range: "tv", frames: 60 };
    let file = clip.make();
    let url = file.to_str().unwrap();
    let (on, off) = (decoded("true", url), decoded("false", url));
    assert_eq!(on.lines().count(), 61, "a line for the stream, one for each frame: {on}");
    assert_eq!(on, off);
}

#[test]
fn a_slow_decoder_shows_its_backlog_in_the_age() {
    let camera = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:640x360@25\"\n";
    // A picture comes every 40 ms and takes 60: each is at least 20 ms older than the one before.
    let slow = &["--test-decode-delay", "60"];
    let mut service = Service::start_with("true", "", camera, slow);
    service.until_exported("cam");
    let reader = service.watch("cam", &["--count", "20", "--timeout", "30"]);
    let seen = frames(&reader.outcome());
    let ages: Vec<_> = seen.iter().map(|frame| frame["age_ns"].as_u64().unwrap()).collect();
    assert!(ages[0] >= 60_000_000, "{ages:?}");
    assert!(ages[19] >= 19 * 20_000_000, "{ages:?}");
}
