//! Every frame that a reader saw is FFmpeg's, to the bit, and at real-time pace none is missing.

use std::process::{Command, Stdio};

use serde_json::Value;
use vas_harness::Outcome as _;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Service, frames};

const FRAMES: u32 = 60;

fn clip(
    encoder: &'static str,
    size: &'static str,
    pixels: &'static str,
    range: &'static str,
) -> Clip {
    Clip { encoder, size, pixels, range, frames: FRAMES }
}

/// Plays the clip through a camera and compares what a reader saw. `transport` as in the config.
fn check(clip: Clip, expected: &[String], transport: &str) {
    let camera = Camera::start(&[&clip.make()], ",once");
    let url = camera.url();
    let config =
        format!("[[camera]]\nid = \"cam\"\nurl = \"{url}\"\ntransport = \"{transport}\"\n");
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
    compare(&clip, &frames(&seen), expected, &service);
    let seen = python.outcome();
    assert!(seen.status.success(), "reader.py: {:?}\n{}", seen.status, service.log());
    compare(&clip, &frames(&seen), expected, &service);
}

fn compare(clip: &Clip, seen: &[Value], expected: &[String], service: &Service) {
    assert!(seen.len() >= 20, "{clip:?}: {} frames", seen.len());
    let md5 = |frame: &Value| frame["md5"].as_str().unwrap().to_owned();
    let first = md5(&seen[0]);
    let start = expected.iter().position(|e| *e == first);
    let start = start.unwrap_or_else(|| panic!("{clip:?}: the first frame is none of FFmpeg's"));
    for (i, frame) in seen.iter().enumerate() {
        // In FFmpeg's order and without a gap.
        let place = expected.iter().position(|e| *e == md5(frame));
        let why = || format!("{clip:?}: frame {i} after {start}: {frame} {:?}", service.status());
        assert_eq!(place, Some(start + i), "{}", why());
        assert!(!frame["corrupt"].as_bool().unwrap());
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

/// A thermal or a night camera's: the chroma is neutral.
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

/// The whole of codecs, sizes, ranges and samplings; `make test-long`.
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
fn h265_ten_bit_by_the_rule() {
    let clip = clip("libx265", "854x482", "yuv420p10le", "tv");
    check(clip, &clip.judge_ten_bit(), "tcp");
}
