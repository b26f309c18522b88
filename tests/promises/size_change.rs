//! A camera changes its picture size while it streams: readers follow, and no picture is wrong.

use vas_harness::Outcome as _;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Service, frames};

const FRAMES: u32 = 60;

fn clip(size: &'static str) -> Clip {
    Clip { encoder: "libx264", size, pixels: "yuv420p", range: "tv", frames: FRAMES }
}

/// Plays two clips in one stream and checks each frame that a reader saw.
fn check(first: Clip, second: Clip) {
    let expected = [(first.size, first.judge()), (second.size, second.judge())];
    let camera = Camera::start(&[&first.make(), &second.make()], ",once");
    let url = camera.url();
    let mut service = Service::start(
        "true",
        "slots = 64\nhold = \"100ms\"",
        &format!("[[camera]]\nid = \"cam\"\nurl = \"{url}\"\ntransport = \"tcp\"\n"),
    );
    service.until_exported("cam");
    let reader = service.watch("cam", &["--md5", "--count", "80", "--timeout", "30"]);
    let seen = reader.outcome();
    assert!(seen.status.success(), "{}\n{}", String::from_utf8_lossy(&seen.stderr), service.log());
    let mut epochs = Vec::new();
    for frame in frames(&seen) {
        let size = format!("{}x{}", frame["width"], frame["height"]);
        let md5 = frame["md5"].as_str().unwrap();
        let (_, pictures) = expected.iter().find(|(of, _)| *of == size).unwrap();
        assert!(pictures.iter().any(|picture| picture == md5), "{frame}");
        let epoch = (frame["epoch"].as_u64().unwrap(), size);
        if epochs.last() != Some(&epoch) {
            epochs.push(epoch);
        }
    }
    let sizes: Vec<_> = epochs.iter().map(|(_, size)| size.as_str()).collect();
    // On a busy machine that leaves out frames, the reader also sees the camera start again.
    assert!(sizes.starts_with(&[first.size, second.size]), "one epoch each, in order: {sizes:?}");
    assert!(epochs[0].0 < epochs[1].0);
}

#[test]
fn larger_pictures_get_new_files() {
    check(clip("640x360"), clip("854x482"));
}

#[test]
fn smaller_pictures_reuse_the_pages() {
    check(clip("854x482"), clip("640x360"));
}
