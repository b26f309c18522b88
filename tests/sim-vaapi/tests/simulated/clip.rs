//! Clips, what a node makes of them, and FFmpeg on a node.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use vas_sim_vaapi::bitstream::{Codec, contents, jpeg_content};
use vas_sim_vaapi::picture::Content;
use vas_sim_vaapi::testing::Session;

pub(crate) const FRAMES: usize = 20;

/// An encoded clip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clip {
    pub(crate) encoder: &'static str,
    pub(crate) size: (usize, usize),
    pub(crate) depth: u32,
    /// Further encoder options.
    pub(crate) options: &'static [&'static str],
}

impl Clip {
    pub(crate) const fn h264(width: usize, height: usize) -> Self {
        Self { encoder: "libx264", size: (width, height), depth: 8, options: &["-bf", "0"] }
    }

    pub(crate) const fn hevc(width: usize, height: usize, depth: u32) -> Self {
        Self { encoder: "libx265", size: (width, height), depth, options: &["-bf", "0"] }
    }

    pub(crate) const fn with(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    /// FFmpeg's name of the elementary stream's format.
    fn format(&self) -> &'static str {
        match self.encoder {
            "libx264" => "h264",
            "libx265" => "hevc",
            other => other,
        }
    }

    /// Encodes it as an MP4 file.
    pub(crate) fn make(&self, dir: &Path) -> PathBuf {
        self.make_as(
            dir,
            match (self.format(), self.depth) {
                ("mjpeg", _) => "yuvj420p",
                (_, 8) => "yuv420p",
                _ => "yuv420p10le",
            },
        )
    }

    /// The same, with a pixel format of FFmpeg's.
    pub(crate) fn make_as(&self, dir: &Path, pixels: &str) -> PathBuf {
        let (width, height) = self.size;
        let path = dir.join(format!("{}-{width}x{height}-{pixels}.mp4", self.format()));
        // In RGB, because testsrc2 rounds odd sizes.
        let source = format!("testsrc=size={width}x{height}:rate=25");
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source]);
        command.args(["-frames:v", &FRAMES.to_string(), "-c:v", self.encoder, "-pix_fmt", pixels]);
        if self.format() != "mjpeg" {
            command.args(["-preset", "ultrafast", "-x265-params", "log-level=error"]);
        }
        run(command.args(self.options).arg(&path));
        path
    }

    /// The elementary stream of its file.
    pub(crate) fn stream(&self, path: &Path) -> Vec<u8> {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-i"]).arg(path);
        run(command.args(["-c", "copy", "-f", self.format(), "-"])).stdout
    }

    /// The pictures of its file on a node with this seed, in decoding order.
    pub(crate) fn predicted(&self, seed: u64, path: &Path) -> Vec<Vec<u8>> {
        let stream = &self.stream(path);
        let contents: Vec<Content> = match self.format() {
            "h264" => contents(seed, Codec::H264, stream),
            "hevc" => contents(seed, Codec::Hevc, stream),
            _ => jpegs(stream).into_iter().map(|jpeg| jpeg_content(seed, jpeg)).collect(),
        };
        let (width, height) = self.size;
        contents.into_iter().map(|content| content.picture(width, height, self.depth)).collect()
    }

    /// The bytes of a picture.
    pub(crate) fn picture_bytes(&self) -> usize {
        let (width, height) = self.size;
        let chroma = width.next_multiple_of(2) * height.div_ceil(2);
        (width * height + chroma) * if self.depth > 8 { 2 } else { 1 }
    }
}

/// The pictures of an MJPEG stream.
fn jpegs(stream: &[u8]) -> Vec<&[u8]> {
    // Entropy-coded data never contains the marker SOI.
    let starts: Vec<usize> =
        (0..stream.len()).filter(|i| stream[*i..].starts_with(&[0xFF, 0xD8, 0xFF])).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().zip(ends).map(|(start, end)| &stream[*start..end]).collect()
}

/// FFmpeg's decoding on a node: the raw pictures, in display order.
pub(crate) fn decode(nodes: &Session, node: usize, clip: &Path, depth: u32) -> Output {
    let format = if depth == 8 { "hwdownload,format=nv12" } else { "hwdownload,format=p010le" };
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-hwaccel", "vaapi", "-hwaccel_device"]);
    command.arg(nodes.node(node)).args(["-hwaccel_output_format", "vaapi"]);
    command.arg("-i").arg(clip).args(["-vf", format, "-fps_mode", "passthrough"]);
    nodes.configure(command.args(["-noautoscale", "-f", "rawvideo", "-"])).output().unwrap()
}

/// With FFmpeg's usual options: decodes in software if the node fails. Returns whatever it outputs.
pub(crate) fn decode_or_fall_back(nodes: &Session, clip: &Path) -> Output {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-hwaccel", "vaapi", "-hwaccel_device"]);
    command.arg(nodes.node(0)).arg("-i").arg(clip);
    command.args(["-pix_fmt", "nv12", "-fps_mode", "passthrough", "-f", "rawvideo", "-"]);
    nodes.configure(&mut command).output().unwrap()
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Asserts that two lists of pictures are the same bytes.
pub(crate) fn assert_same(seen: &[&[u8]], predicted: &[Vec<u8>], what: &dyn std::fmt::Debug) {
    assert_eq!(seen.len(), predicted.len(), "{what:?}");
    for (i, (seen, predicted)) in seen.iter().zip(predicted).enumerate() {
        // Not assert_eq: it would print both pictures.
        assert!(seen == predicted, "{what:?}: picture {i} differs");
    }
}
