//! Readers get GPU-decoded pictures bit-exact to FFmpeg's own download.

use vas_harness::Outcome as _;
use vas_sim_gpu::testing::SimulatedGpu;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Service, frames};

use super::{camera, stop_cleanly};

const FRAMES: u32 = 60;

/// A GPU whose padding, pitch and delays follow the seed.
fn device(seed: u64) -> SimulatedGpu {
    let gpu = SimulatedGpu::new().set("seed", seed).set("decode_us", 1000 * (seed % 7));
    gpu.set("copy_us_per_mib", 500 * (seed % 5)).set("jitter_percent", 80)
}

/// Plays clips through one camera, one after the other, and compares the frames that a reader saw.
fn check(seed: u64, clips: &[Clip], at_least: usize) {
    let expected: Vec<_> = clips.iter().map(|clip| clip.judge_on(&device(seed).start())).collect();
    check_export(seed, clips, clips, &expected, "", at_least);
}

/// Plays a clip through a camera whose frames are exported in this size, with bars.
fn check_letterboxed(seed: u64, clip: Clip, size: &'static str) {
    let expected = clip.judge_letterboxed_on(&device(seed).start(), size);
    let (width, height) = size.split_once('x').unwrap();
    let export =
        format!("export = {{ width = {width}, height = {height}, fit = \"letterbox\" }}\n");
    // As the reader sees it.
    let seen = Clip { size, ..clip };
    check_export(seed, &[clip], &[seen], &[expected], &export, 30);
}

/// `exported` has the sizes of the exported frames.
fn check_export(
    seed: u64,
    clips: &[Clip],
    exported: &[Clip],
    expected: &[Vec<String>],
    export: &str,
    at_least: usize,
) {
    let gpus = device(seed).start();
    let files: Vec<_> = clips.iter().map(Clip::make).collect();
    let files: Vec<_> = files.iter().map(AsRef::as_ref).collect();
    let rtsp = Camera::start(&files, ",once");
    let more = format!("transport = \"tcp\"\ndecode = \"nvdec\"\n{export}");
    let cameras = camera("cam", &rtsp.url(), &more);
    let mut service =
        Service::start_on(&gpus, "true", "slots = 64\nhold = \"400ms\"", &cameras, &[]);
    service.until_exported("cam");
    let count = at_least.to_string();
    let reader = service.watch("cam", &["--md5", "--count", &count, "--timeout", "30"]);
    let seen = reader.outcome();
    let errors = String::from_utf8_lossy(&seen.stderr);
    assert!(seen.status.success(), "{errors}\n{:?}\n{}", service.status(), service.log());
    let mut sizes = Vec::new();
    let mut last = None;
    for frame in frames(&seen) {
        let size = format!("{}x{}", frame["width"], frame["height"]);
        let clip = exported.iter().position(|clip| clip.size == size).expect("a clip's size");
        let md5 = frame["md5"].as_str().unwrap();
        let place = expected[clip].iter().position(|picture| picture == md5);
        let why = || {
            format!("{clip}: {frame}, after {last:?}\n{:?}\n{}", service.status(), service.log())
        };
        let place = place.unwrap_or_else(|| panic!("not a picture of FFmpeg's: {}", why()));
        assert_eq!(frame["decoder"], "nvdec", "{frame}");
        if sizes.last() == Some(&clip) {
            assert!(last < Some(place), "in FFmpeg's order: {}", why());
        } else {
            sizes.push(clip);
        }
        last = Some(place);
    }
    assert_eq!(sizes, (0..clips.len()).collect::<Vec<_>>());
    stop_cleanly(service, &gpus);
}

#[test]
fn h264_at_an_odd_size() {
    let size = "1366x768";
    let clip = Clip { encoder: "libx264", size, pixels: "yuv420p", range: "tv", frames: FRAMES };
    check(11, &[clip], 30);
}

#[test]
fn h265_at_an_odd_size() {
    let clip = Clip {
        encoder: "libx265",
        size: "854x482",
        pixels: "yuv420p",
        range: "tv",
        frames: FRAMES,
    };
    check(24, &[clip], 30);
}

/// By the kernels that the service loads, and against numpy.
#[test]
fn ten_bits() {
    let clip = Clip {
        encoder: "libx265",
        size: "854x482",
        pixels: "yuv420p10le",
        range: "tv",
        frames: FRAMES,
    };
    check_letterboxed(25, clip, "854x482");
}

#[test]
fn ten_bits_scaled() {
    let clip = Clip {
        encoder: "libx265",
        size: "854x482",
        pixels: "yuv420p10le",
        range: "tv",
        frames: FRAMES,
    };
    check_letterboxed(26, clip, "320x321");
}

#[test]
fn scaled() {
    let size = "1366x768";
    let clip = Clip { encoder: "libx264", size, pixels: "yuv420p", range: "tv", frames: FRAMES };
    check_letterboxed(27, clip, "320x321");
}

#[test]
fn a_size_change_in_mid_stream() {
    let clip =
        |size| Clip { encoder: "libx264", size, pixels: "yuv420p", range: "tv", frames: FRAMES };
    check(38, &[clip("854x482"), clip("640x360")], 80);
}
