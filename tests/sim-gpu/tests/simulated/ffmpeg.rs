//! Debian's FFmpeg decodes on the simulated device, with the predicted output.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use md5::{Digest as _, Md5};
use vas_sim_gpu::bitstream::{Codec, contents};
use vas_sim_gpu::testing::{CallRecord, Session, SimulatedGpu};

const FRAMES: usize = 20;

#[derive(Clone, Copy, Debug)]
struct Clip {
    codec: Codec,
    size: (usize, usize),
    depth: u32,
    /// Further encoder options.
    options: &'static [&'static str],
}

impl Clip {
    const fn new(codec: Codec, size: (usize, usize), depth: u32) -> Self {
        Self { codec, size, depth, options: &["-bf", "2"] }
    }

    fn make(&self, dir: &Path) -> PathBuf {
        let path = dir.join("clip.mp4");
        let (width, height) = self.size;
        let source = format!("testsrc2=size={width}x{height}:rate=25");
        let encoder = if self.codec == Codec::H264 { "libx264" } else { "libx265" };
        let pixels = if self.depth == 8 { "yuv420p" } else { "yuv420p10le" };
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source]);
        command.args(["-frames:v", &FRAMES.to_string(), "-c:v", encoder, "-pix_fmt", pixels]);
        command.args(["-preset", "ultrafast", "-x265-params", "log-level=error"]);
        run(command.args(self.options).arg(&path));
        path
    }

    /// MD5 of each expected picture on a device with this seed, in decoding order.
    fn expected(&self, seed: u64, clip: &Path) -> Vec<String> {
        let (width, height) = self.size;
        let pictures = contents(seed, self.codec, &annex_b(clip, self.codec));
        pictures.iter().map(|content| md5(&content.picture(width, height, self.depth))).collect()
    }

    /// Decodes it on the device and compares every picture.
    fn check(&self) {
        let dir = tempfile::tempdir().unwrap();
        let clip = self.make(dir.path());
        for seed in [1, 2] {
            let gpu = SimulatedGpu::new().set("seed", seed).start();
            let mut seen = judge(&gpu, &clip, self.depth);
            let mut expected = self.expected(seed, &clip);
            assert_eq!(expected.len(), FRAMES, "{self:?}");
            if self.options.contains(&"2") {
                // With B-frames decoding order is not display order.
                seen.sort();
                expected.sort();
            }
            assert_eq!(seen, expected, "{self:?}, seed {seed}");
            // FFmpeg's own download goes to pageable memory.
            gpu.report().assert_clean(&["pageable"]);
        }
    }
}

/// The elementary stream of a clip.
fn annex_b(clip: &Path, codec: Codec) -> Vec<u8> {
    let format = if codec == Codec::H264 { "h264" } else { "hevc" };
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-i"]).arg(clip);
    run(command.args(["-c", "copy", "-f", format, "-"])).stdout
}

/// FFmpeg's own download: MD5 of each picture, in display order.
fn judge(gpu: &Session, clip: &Path, depth: u32) -> Vec<String> {
    let format = if depth == 8 { "hwdownload,format=nv12" } else { "hwdownload,format=p010le" };
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-hwaccel", "cuda", "-hwaccel_output_format", "cuda"]);
    command.arg("-i").arg(clip).args(["-vf", format, "-fps_mode", "passthrough"]);
    md5s(&run(gpu.configure(&mut command).args(["-f", "framemd5", "-"])))
}

/// With the usual options: falls back to software if the device fails.
fn decode(gpu: &Session, clip: &Path) -> Output {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-hwaccel", "cuda", "-i"]).arg(clip);
    command.args(["-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    gpu.configure(&mut command).output().unwrap()
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn md5s(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().into()).collect()
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    output
}

#[test]
fn h264_of_a_size_that_is_padded() {
    Clip::new(Codec::H264, (1366, 768), 8).check();
}

#[test]
fn h264_of_a_height_that_is_padded() {
    Clip::new(Codec::H264, (1920, 1080), 8).check();
}

#[test]
fn h264_in_display_order_and_several_slices() {
    let options = &["-bf", "0", "-slices", "4"];
    Clip { options, ..Clip::new(Codec::H264, (640, 360), 8) }.check();
}

#[test]
fn h265_of_a_size_that_is_padded() {
    Clip::new(Codec::Hevc, (1366, 768), 8).check();
}

#[test]
fn h265_of_a_height_that_is_padded() {
    Clip::new(Codec::Hevc, (1920, 1080), 8).check();
}

#[test]
fn h265_of_ten_bits() {
    Clip::new(Codec::Hevc, (1366, 768), 10).check();
}

#[test]
fn a_new_size_in_mid_stream() {
    let sizes = [(640, 360), (1366, 768)];
    let mut stream = Vec::new();
    let mut pictures = Vec::new();
    for size in sizes {
        let dir = tempfile::tempdir().unwrap();
        let options = &["-bf", "0"];
        let clip = Clip { options, ..Clip::new(Codec::H264, size, 8) }.make(dir.path());
        let part = annex_b(&clip, Codec::H264);
        pictures.extend(contents(1, Codec::H264, &part).into_iter().map(|content| (content, size)));
        stream.extend(part);
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = dir.path().join("two.h264");
    std::fs::write(&clip, stream).unwrap();
    let gpu = SimulatedGpu::new().start();
    let expected =
        pictures.iter().map(|(content, (width, height))| content.picture(*width, *height, 8));
    let expected: Vec<String> = expected.map(|picture| md5(&picture)).collect();
    let mut command = Command::new("ffmpeg");
    // Not yuv420p, into which FFmpeg would convert it to keep the first size.
    command.args(["-v", "error", "-nostdin", "-hwaccel", "cuda", "-i"]).arg(clip);
    command.args(["-noautoscale", "-pix_fmt", "nv12"]);
    command.args(["-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    assert_eq!(md5s(&run(gpu.configure(&mut command))), expected);
    gpu.report().assert_clean(&["pageable"]);
    let made = gpu.calls().iter().filter(|call| call.function == "cuvidCreateDecoder").count();
    assert_eq!(made, 2);
}

fn small(dir: &Path) -> PathBuf {
    let options = &["-bf", "0"];
    Clip { options, ..Clip::new(Codec::H264, (320, 192), 8) }.make(dir)
}

#[test]
fn a_decoder_that_cannot_be_made_is_replaced_by_software() {
    let dir = tempfile::tempdir().unwrap();
    let clip = small(dir.path());
    let gpu = SimulatedGpu::new().set("fault", "cuvidCreateDecoder:1+:CUDA_ERROR_OUT_OF_MEMORY");
    let gpu = gpu.start();
    let output = decode(&gpu, &clip);
    assert!(String::from_utf8_lossy(&output.stderr).contains("CUDA_ERROR_OUT_OF_MEMORY"));
    let mut software = Command::new("ffmpeg");
    software.args(["-v", "error", "-nostdin", "-i"]).arg(&clip);
    let software = run(software.args(["-fps_mode", "passthrough", "-f", "framemd5", "-"]));
    assert_eq!(md5s(&output), md5s(&software));
    gpu.report().assert_clean(&[]);
}

#[test]
fn a_failed_picture_is_missing_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let clip = small(dir.path());
    let whole = md5s(&decode(&SimulatedGpu::new().start(), &clip));
    assert_eq!(whole.len(), FRAMES);
    for fault in ["cuvidDecodePicture:5", "cuvidMapVideoFrame64:5"] {
        let gpu = SimulatedGpu::new().set("fault", format!("{fault}:CUDA_ERROR_UNKNOWN")).start();
        let output = decode(&gpu, &clip);
        assert!(String::from_utf8_lossy(&output.stderr).contains("CUDA_ERROR_UNKNOWN"), "{fault}");
        let seen = md5s(&output);
        assert_eq!(seen, [&whole[..4], &whole[5..]].concat(), "{fault}");
    }
}

#[test]
fn a_lost_device_ends_the_decoding() {
    let dir = tempfile::tempdir().unwrap();
    let clip = small(dir.path());
    let gpu = SimulatedGpu::new().set("fault", "device_lost:0@call 100").start();
    let output = decode(&gpu, &clip);
    let seen = md5s(&output).len();
    assert!((1..FRAMES).contains(&seen), "{seen} pictures");
    assert!(gpu.report().remarks.iter().any(|remark| remark == "device 0 is lost"));
}

#[test]
fn settings_reach_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let clip = small(dir.path());
    let gpu = SimulatedGpu::new().start();
    gpu.change("jitter_percent=0\nfault=cuvidDecodePicture:2:CUDA_ERROR_UNKNOWN");
    assert_eq!(md5s(&decode(&gpu, &clip)).len(), FRAMES - 1);
}

#[test]
fn a_device_is_lost_at_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let stream = annex_b(&small(dir.path()), Codec::H264);
    let clip = dir.path().join("long.h264");
    std::fs::write(&clip, stream.repeat(100)).unwrap();
    // Longer than any wait of the test: it ends by the loss.
    let gpu = SimulatedGpu::new().set("devices", 2).set("decode_us", 20_000).start();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "quiet", "-nostdin", "-hwaccel", "cuda", "-hwaccel_device", "1", "-i"]);
    let command = command.arg(clip).args(["-f", "null", "-"]);
    let mut program = gpu.configure(command).spawn().unwrap();
    let maps = || gpu.calls().iter().filter(|c| c.function == "cuvidMapVideoFrame64").count();
    while maps() < FRAMES {
        assert!(program.try_wait().unwrap().is_none(), "FFmpeg ended");
        std::thread::yield_now();
    }
    gpu.change("fault=device_lost:1@call 1:CUDA_ERROR_ECC_UNCORRECTABLE");
    program.wait().unwrap();
    let lost = |call: &CallRecord| call.status == "CUDA_ERROR_ECC_UNCORRECTABLE";
    let calls = gpu.calls();
    let first = calls.iter().position(lost).expect("calls that the loss failed");
    let decoded = |call: &&CallRecord| call.function == "cuvidDecodePicture" && !lost(call);
    assert_eq!(calls[first..].iter().filter(decoded).count(), 0);
}

#[test]
fn a_rule_finds_the_thread_that_copies() {
    let dir = tempfile::tempdir().unwrap();
    let clip = small(dir.path());
    // The program's first thread up to FFmpeg 6, its decoder's since 7.
    let threads = "ffmpeg:cuMemcpy2DAsync_v2;dec:cuMemcpy2DAsync_v2";
    let gpu = SimulatedGpu::new().set("forbid", threads).start();
    assert_eq!(judge(&gpu, &clip, 8).len(), FRAMES);
    // Two planes per picture.
    assert_eq!(gpu.report().count("forbidden_thread"), 2 * FRAMES);
    let copied: u64 =
        gpu.calls().iter().filter(|c| c.function.contains("2DAsync")).map(|c| c.bytes).sum();
    assert!(copied >= (FRAMES * 320 * 192 * 3 / 2) as u64);
}
