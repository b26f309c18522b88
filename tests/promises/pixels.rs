//! Every frame that a reader sees is bit-exact to FFmpeg's, and at real-time pace none is missing, except those that
//! the service counts as dropped on a busy machine.

use std::process::{Command, Stdio};

use serde_json::Value;
use vas_harness::Outcome as _;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Service, frames};

const FRAMES: u32 = 60;
/// Allowed reasons for a missing frame: a machine busy with other tests does not decode or copy it in
/// time.
const BUSY: [&str; 2] = ["overload", "in_flight"];

fn clip(
    encoder: &'static str,
    size: &'static str,
    pixels: &'static str,
    range: &'static str,
) -> Clip {
    Clip { encoder, size, pixels, range, frames: FRAMES }
}

/// Plays the clip through a camera and compares the frames that a reader saw. `transport` as in the
/// config.
fn check(clip: Clip, expected: &[String], transport: &str) {
    check_export(clip, expected, transport, "");
}

/// The same for an export with these settings.
fn check_export(clip: Clip, expected: &[String], transport: &str, export: &str) {
    let camera = Camera::start(&[&clip.make()], "");
    let url = camera.url();
    let config =
        format!("[[camera]]\nid = \"cam\"\nurl = \"{url}\"\ntransport = \"{transport}\"\n{export}");
    let mut service = Service::start("true", "slots = 64", &config);
    service.until_exported("cam");
    let python = Command::new("/usr/bin/python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/reader.py"))
        .args(["cam", "--md5", "--count", "20", "--timeout", "30", "--dir"])
        .arg(service.dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let reader = service.watch("cam", &["--md5", "--count", "30", "--timeout", "30"]);
    let seen = reader.outcome();
    assert!(seen.status.success(), "{}\n{}", String::from_utf8_lossy(&seen.stderr), service.log());
    compare(&clip, &frames(&seen), expected, &mut service);
    let seen = python.outcome();
    assert!(seen.status.success(), "reader.py: {:?}\n{}", seen.status, service.log());
    compare(&clip, &frames(&seen), expected, &mut service);
}

fn compare(clip: &Clip, seen: &[Value], expected: &[String], service: &mut Service) {
    assert!(seen.len() >= 20, "{clip:?}: {} frames", seen.len());
    let mut missing = 0;
    let mut last = None;
    for (i, frame) in seen.iter().enumerate() {
        let why = || format!("{clip:?}: frame {i}: {frame} {:?}", service.status());
        let md5 = frame["md5"].as_str().unwrap();
        let place = expected.iter().position(|e| e == md5);
        let place = place.unwrap_or_else(|| panic!("not a picture of FFmpeg's: {}", why()));
        // In FFmpeg's order; the clip repeats.
        let step = last.map_or(1, |last| (place + expected.len() - last) % expected.len());
        assert_ne!(step, 0, "the same picture again: {}", why());
        missing += step as u64 - 1;
        last = Some(place);
        assert!(!frame["corrupt"].as_bool().unwrap());
    }
    if missing > 0 {
        let what = format!("reason for {missing} frames that are missing: {clip:?}");
        service.until(&what, |camera| {
            let dropped = BUSY.map(|why| camera["dropped"][why].as_u64().unwrap());
            dropped.iter().sum::<u64>() >= missing
        });
    }
}

#[test]
fn h264_limited_over_tcp() {
    let clip = clip("libx264", "1366x768", "yuv420p", "tv");
    check(clip, &clip.judge(), "tcp");
}

#[test]
fn h264_full_range_over_udp() {
    let clip = clip("libx264", "854x482", "yuv420p", "pc");
    check(clip, &clip.judge(), "udp");
}

#[test]
fn h264_422() {
    let clip = clip("libx264", "854x482", "yuv422p", "tv");
    check(clip, &clip.judge(), "auto");
}

/// As from a thermal or a night camera: the chroma is neutral.
#[test]
fn h265_grey_in_full_range() {
    let clip = clip("libx265", "854x482", "gray", "pc");
    check(clip, &clip.judge(), "auto");
}

#[test]
fn h265_full_hd() {
    let clip = clip("libx265", "1920x1080", "yuv420p", "tv");
    check(clip, &clip.judge(), "auto");
}

/// All codecs, sizes, ranges and samplings; `make test-long`.
#[test]
#[ignore = "takes minutes: make test-long"]
fn every_combination() {
    for encoder in ["libx264", "libx265"] {
        for size in ["1366x768", "854x482", "1920x1080"] {
            for pixels in ["yuv420p", "yuv422p"] {
                for range in ["tv", "pc"] {
                    let clip = clip(encoder, size, pixels, range);
                    check(clip, &clip.judge(), "tcp");
                }
            }
        }
    }
}

#[test]
fn a_scaled_export_is_that_of_the_document() {
    let clip = clip("libx264", "1366x768", "yuv420p", "tv");
    let export = "export = { width = 320, height = 321, fit = \"letterbox\" }\n";
    check_export(clip, &clip.judge_letterboxed("320x321"), "tcp", export);
}

#[test]
fn h265_ten_bit_by_the_rule() {
    let clip = clip("libx265", "854x482", "yuv420p10le", "tv");
    check(clip, &clip.judge_ten_bit(), "tcp");
}
