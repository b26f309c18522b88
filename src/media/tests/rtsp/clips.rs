//! Clips from FFmpeg's encoders, and their pictures as decoded by FFmpeg.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use md5::{Digest as _, Md5};
use vas_media::Frame;

/// Pictures per second; high, so that tests end soon.
pub(crate) const FPS: u32 = 50;

/// A clip that a camera can play.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clip {
    pub(crate) name: &'static str,
    pub(crate) frames: u32,
    arguments: &'static [&'static str],
}

/// B-frames, four slices per picture, a key frame every 25 pictures.
pub(crate) const H264: Clip = Clip {
    name: "sliced.mp4",
    frames: 300,
    arguments: &[
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-bf",
        "2",
        "-g",
        "25",
        "-crf",
        "30",
        "-x264-params",
        "slices=4:scenecut=0:b-pyramid=normal",
    ],
};

/// B-frames, CRA pictures followed by RASL pictures.
pub(crate) const H265: Clip = Clip {
    name: "open.mp4",
    frames: 300,
    arguments: &[
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-crf",
        "30",
        "-x265-params",
        "log-level=error:keyint=25:min-keyint=25:bframes=3:open-gop=1:scenecut=0:repeat-headers=1",
    ],
};

pub(crate) const MJPEG: Clip = Clip {
    name: "pictures.jpeg",
    frames: 50,
    arguments: &["-c:v", "mjpeg", "-huffman", "default", "-q:v", "6", "-f", "mjpeg"],
};

static MAKING: Mutex<()> = Mutex::new(());

impl Clip {
    /// The file, encoded once and kept in the directory of the test binaries.
    pub(crate) fn file(&self) -> PathBuf {
        let test = std::env::current_exe().unwrap();
        let dir = test.parent().and_then(Path::parent).unwrap().join("test-clips");
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(format!("rtsp-{}-{FPS}-{}", self.frames, self.name));
        let _turn = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            return path;
        }
        let unfinished = dir.join(format!("{}-{}", std::process::id(), self.name));
        // Noise makes all pictures, including wrong ones, different.
        let source = format!("testsrc2=size=320x192:rate={FPS},noise=alls=20:allf=t");
        let pixels = if self.name.ends_with(".jpeg") { "yuvj420p" } else { "yuv420p" };
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", &source, "-frames:v", &self.frames.to_string()]);
        command.args(["-pix_fmt", pixels]).args(self.arguments).arg(&unfinished);
        assert!(command.status().unwrap().success());
        std::fs::rename(&unfinished, &path).unwrap();
        path
    }

    /// MD5 of each picture, in output order.
    pub(crate) fn pictures(&self) -> Vec<String> {
        let mut command = ffmpeg();
        if self.name.ends_with(".jpeg") {
            command.args(["-f", "mjpeg"]);
        }
        command.args(["-threads", "1", "-i"]).arg(self.file());
        command.args(["-fps_mode", "passthrough", "-f", "framemd5", "-"]);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pictures: Vec<_> =
            lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect();
        assert_eq!(pictures.len(), self.frames as usize);
        pictures
    }

    /// The rate at which the camera plays the clip: a file of JPEGs states none and is played at 25.
    pub(crate) fn fps(&self) -> u32 {
        if self.name == MJPEG.name { 25 } else { FPS }
    }

    pub(crate) fn codec(&self) -> &'static str {
        if self.name == H265.name { "h265" } else { "h264" }
    }
}

/// MD5 of a picture's visible samples, as in FFmpeg's framemd5.
pub(crate) fn md5_of(frame: &Frame) -> String {
    let mut md5 = Md5::new();
    for plane in 0..3 {
        let (width, stride) = (frame.width() as usize, frame.stride(plane));
        let row = if plane == 0 { width } else { width.div_ceil(2) };
        frame.plane(plane).chunks(stride).for_each(|line| md5.update(&line[..row]));
    }
    md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]).stdin(Stdio::null());
    command
}
