//! Test clips, made once by FFmpeg, and the MD5s of their pictures from FFmpeg.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use vas_harness::waiting;
use vas_sim_gpu::testing::Session;

/// Frames per second. The first of three copies in flight must be done when the fourth frame comes: at this
/// rate a machine busy with other tests has 300 ms for it.
pub const FPS: u32 = 10;

/// Locked while a clip is made.
static MAKING: Mutex<()> = Mutex::new(());

/// The properties of a clip.
#[derive(Clone, Copy, Debug)]
pub struct Clip {
    /// `libx264` or `libx265`.
    pub encoder: &'static str,
    /// For example `1366x768`.
    pub size: &'static str,
    /// FFmpeg's pixel format.
    pub pixels: &'static str,
    /// `tv` or `pc`.
    pub range: &'static str,
    /// Pictures, at [`FPS`].
    pub frames: u32,
}

impl Clip {
    /// Encodes it with B-frames, unless it exists; returns the path of the MP4 file.
    pub fn make(&self) -> PathBuf {
        let dir = folder();
        let Self { encoder, size, pixels, range, frames } = self;
        let path = dir.join(format!("{encoder}-{size}-{pixels}-{range}-{frames}-{FPS}.mp4"));
        // Tests run concurrently, and several need the same clip.
        let _turn = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            return path;
        }
        let unfinished = path.with_extension(format!("{}.mp4", std::process::id()));
        let source = format!(
            "testsrc2=size={size}:rate={FPS},noise=alls=12:allf=t,\
             scale=out_range={range}:flags=bicubic,format={pixels}"
        );
        run(Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", &source])
            .args(["-frames:v", &frames.to_string(), "-color_range", range, "-c:v", encoder])
            .args(["-preset", "ultrafast", "-bf", "2", "-g", "25", "-crf", "30"])
            .args(["-x265-params", "log-level=error"])
            .arg(&unfinished));
        std::fs::rename(&unfinished, &path).unwrap();
        path
    }

    /// FFmpeg's MD5 of each picture as NV12, its range kept.
    pub fn judge(&self) -> Vec<String> {
        let range = self.range;
        let keep = format!("scale=in_range={range}:out_range={range}:flags=bicubic");
        // From full-range gray, FFmpeg's scaler leaves the chroma of NV12 unwritten, but not that of
        // yuv420p.
        let filter = match self.pixels {
            "gray" => format!("{keep},format=yuv420p,{keep},format=nv12"),
            _ => format!("{keep},format=nv12"),
        };
        let output = run(Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-threads", "1", "-i"])
            .arg(self.make())
            .args(["-vf", &filter, "-fps_mode", "passthrough", "-f", "framemd5", "-"]));
        let lines = output.lines().filter(|line| !line.starts_with('#'));
        let md5s: Vec<_> = lines.map(|l| l.rsplit(',').next().unwrap().trim().into()).collect();
        assert_eq!(md5s.len(), self.frames as usize, "FFmpeg decodes the whole clip");
        md5s
    }

    /// MD5 of each picture as FFmpeg itself downloads it from a GPU, in display order. Simulated pictures
    /// are derived from the bytes of their slices, which RTP carries unchanged.
    pub fn judge_on(&self, gpus: &Session) -> Vec<String> {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-hwaccel", "cuda"]);
        command.args(["-hwaccel_output_format", "cuda", "-i"]).arg(self.make());
        command.args(["-vf", "hwdownload,format=nv12", "-fps_mode", "passthrough"]);
        let output = run(gpus.configure(command.args(["-f", "framemd5", "-"])));
        let lines = output.lines().filter(|line| !line.starts_with('#'));
        let md5s: Vec<_> = lines.map(|l| l.rsplit(',').next().unwrap().trim().into()).collect();
        assert_eq!(md5s.len(), self.frames as usize, "FFmpeg decodes the whole clip");
        md5s
    }

    /// MD5 of each picture scaled with bars to `size`, by numpy on FFmpeg's own pictures, after docs/ref/scaling.md.
    pub fn judge_letterboxed(&self, size: &str) -> Vec<String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/rig/scaled.py");
        let mut command = Command::new("/usr/bin/python3");
        let output = run(command.arg(script).arg(self.make()).args([self.size, size]));
        let md5s: Vec<String> = output.lines().map(Into::into).collect();
        assert_eq!(md5s.len(), self.frames as usize, "FFmpeg decodes the whole clip");
        md5s
    }

    /// The same of each picture as FFmpeg itself downloads it from a GPU, reduced to 8 bits, in display order.
    pub fn judge_letterboxed_on(&self, gpus: &Session, size: &str) -> Vec<String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/rig/scaled.py");
        let format = if self.pixels == "yuv420p10le" { "p010le" } else { "nv12" };
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(self.make()).args([self.size, size, format]);
        let output = run(gpus.configure(&mut command));
        let md5s: Vec<String> = output.lines().map(Into::into).collect();
        assert_eq!(md5s.len(), self.frames as usize, "FFmpeg decodes the whole clip");
        md5s
    }

    /// MD5 of each picture after the 10-bit rule, by numpy on FFmpeg's own 10-bit output.
    pub fn judge_ten_bit(&self) -> Vec<String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/rig/ten_bit.py");
        let output =
            run(Command::new("/usr/bin/python3").arg(script).arg(self.make()).arg(self.size));
        let md5s: Vec<String> = output.lines().map(Into::into).collect();
        assert_eq!(md5s.len(), self.frames as usize, "FFmpeg decodes the whole clip");
        md5s
    }
}

/// The folder for clips: beside the binaries, so that `cargo clean` removes them.
pub fn folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let dir = test.parent().and_then(Path::parent).unwrap().join("test-clips");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Runs a command to its end; returns its standard output.
pub fn run(command: &mut Command) -> String {
    let _wait = waiting(format!("{command:?} to end"));
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
