//! The clips that are decoded, and what readers must get of them.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use md5::{Digest as _, Md5};
use vas_scale::{ColorInfo, Fit, Plan, Plane, Request, Source, reference};

use crate::Failure;

/// Pictures a second. A file plays once, so it must last until its reader has attached and seen enough.
const RATE: u32 = 5;

/// A clip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clip {
    pub(crate) name: &'static str,
    encoder: &'static str,
    size: (u32, u32),
    ten_bit: bool,
    frames: u32,
    rate: u32,
    /// How often it follows itself in the file.
    repeats: u32,
}

/// For load: what most cameras send.
pub(crate) const LOAD: Clip = Clip {
    name: "load.mp4",
    encoder: "libx264",
    size: (1920, 1080),
    ten_bit: false,
    frames: 250,
    rate: 25,
    repeats: 6,
};

/// A camera of the comparison: a clip, and the export that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) clip: Clip,
    pub(crate) export: Option<(u32, u32, Fit)>,
}

const fn clip(
    name: &'static str,
    encoder: &'static str,
    size: (u32, u32),
    ten_bit: bool,
    frames: u32,
) -> Clip {
    Clip { name, encoder, size, ten_bit, frames, rate: RATE, repeats: 1 }
}

/// Sizes that fill no macroblock and no tile; 10 bits; every way to fit; a copy, a kernel, and both of a kernel's uses.
pub(crate) const CASES: [Case; 7] = {
    let h264 = clip("h264.mp4", "libx264", (1366, 768), false, 75);
    let h265 = clip("h265.mp4", "libx265", (854, 482), false, 75);
    let ten = clip("h265-10.mp4", "libx265", (1280, 720), true, 75);
    let large = clip("h265-10-4k.mp4", "libx265", (3840, 2160), true, 60);
    [
        Case { id: "h264", clip: h264, export: None },
        Case { id: "h265", clip: h265, export: None },
        Case { id: "h265-10bit", clip: ten, export: None },
        Case { id: "h264-fit", clip: h264, export: Some((640, 640, Fit::Fit)) },
        Case { id: "h265-letterbox", clip: h265, export: Some((400, 400, Fit::Letterbox)) },
        Case { id: "h265-10bit-stretch", clip: ten, export: Some((500, 500, Fit::Stretch)) },
        Case { id: "h265-10bit-4k-fit", clip: large, export: Some((640, 360, Fit::Fit)) },
    ]
};

impl Clip {
    /// The `[[camera]]` that plays it, over and over.
    pub(crate) fn camera(&self, id: &str, clips: &Path, gpu: u32) -> String {
        let url = clips.join(self.name);
        format!(
            "[[camera]]\nid = {id:?}\nurl = {url:?}\ndecode = \"nvdec\"\ngpu = {gpu}\nidle = \"decode\"\n"
        )
    }

    /// Encodes it, unless it exists. Needs an `ffmpeg` with libx264 and libx265.
    pub(crate) fn make(&self, dir: &Path) -> Result<(), Failure> {
        let Self { name, encoder, size: (width, height), ten_bit, frames, rate, repeats } = self;
        let path = dir.join(name);
        if path.exists() {
            return Ok(());
        }
        let pixels = if *ten_bit { "yuv420p10le" } else { "yuv420p" };
        let source = format!(
            "testsrc2=size={width}x{height}:rate={rate},noise=alls=12:allf=t,\
             scale=out_range=tv:flags=bicubic,format={pixels}"
        );
        let unfinished = dir.join(format!("unfinished-{name}"));
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", &source]);
        command.args(["-frames:v", &frames.to_string(), "-color_range", "tv", "-c:v", encoder]);
        command.args(["-preset", "ultrafast", "-bf", "2", "-g", "25", "-crf", "40"]);
        command.args(["-x265-params", "log-level=error"]).arg(&unfinished);
        output(&mut command)?;
        if *repeats > 1 {
            let once = dir.join(format!("once-{name}"));
            let moved = std::fs::rename(&unfinished, &once);
            moved.map_err(|error| Failure::file(&once, error))?;
            let mut command = Command::new("ffmpeg");
            command.args(["-v", "error", "-nostdin", "-y", "-stream_loop"]);
            command.arg((repeats - 1).to_string()).arg("-i").arg(&once);
            output(command.args(["-c", "copy"]).arg(&unfinished))?;
            std::fs::remove_file(&once).map_err(|error| Failure::file(&once, error))?;
        }
        std::fs::rename(&unfinished, &path).map_err(|error| Failure::file(&path, error))
    }
}

impl Case {
    fn plan(&self) -> Result<Plan, Failure> {
        let request = self.export.map_or_else(Request::default, |(width, height, fit)| Request {
            width: Some(width),
            height: Some(height),
            fit,
        });
        Plan::new(self.clip.size, request, ColorInfo::default())
            .map_err(|error| Failure::Wrong(format!("{}: {error}", self.id)))
    }

    /// The MD5 of each picture as readers must get it, in display order: FFmpeg's own NVDEC decodes and downloads, and
    /// the reference of docs/ref/scaling.md does the rest.
    pub(crate) fn expected(
        &self,
        ffmpeg: &Path,
        clips: &Path,
        gpu: u32,
    ) -> Result<Vec<String>, Failure> {
        let plan = self.plan()?;
        let (width, height) = (self.clip.size.0 as usize, self.clip.size.1 as usize);
        let sample = if self.clip.ten_bit { 2 } else { 1 };
        let (row, rows) = (width * sample, height);
        let pixels = if self.clip.ten_bit { "p010le" } else { "nv12" };
        let mut command = Command::new(ffmpeg);
        command.args(["-v", "error", "-nostdin", "-hwaccel", "cuda"]);
        command.args(["-hwaccel_device", &gpu.to_string(), "-hwaccel_output_format", "cuda", "-i"]);
        command
            .arg(clips.join(self.clip.name))
            .args(["-vf", &format!("hwdownload,format={pixels}")]);
        command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-"]);
        let md5 = |picture: &[u8]| -> String {
            let (y, uv) = picture.split_at(row * rows);
            let (y, uv) = (Plane::new(y, row), Plane::new(uv, row));
            let source = match self.clip.ten_bit {
                true => Source::P016 { y, uv },
                false => Source::Nv12 { y, uv },
            };
            let scaled = reference::scale(&source, &plan);
            let digest = Md5::new().chain_update(scaled.luma).chain_update(scaled.chroma);
            digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let name = format!("{command:?}");
        let wrong = |error| Failure::Program(format!("{name}: {error}"));
        let mut judge =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(wrong)?;
        let mut raw = judge.stdout.take().expect("piped");
        let mut picture = vec![0; row * rows * 3 / 2];
        let mut md5s = Vec::new();
        while raw.read_exact(&mut picture).is_ok() {
            md5s.push(md5(&picture));
        }
        let ended = judge.wait().map_err(wrong)?;
        if !ended.success() || md5s.len() != self.clip.frames as usize {
            return Err(Failure::Wrong(format!(
                "FFmpeg's own NVDEC gave {} of {} pictures of {}: {ended}",
                md5s.len(),
                self.clip.frames,
                self.clip.name
            )));
        }
        Ok(md5s)
    }

    /// Its `[[camera]]`.
    pub(crate) fn table(&self, clips: &Path, gpu: u32) -> String {
        let mut table = self.clip.camera(self.id, clips, gpu);
        if let Some((width, height, fit)) = self.export {
            table +=
                &format!("[camera.export]\nwidth = {width}\nheight = {height}\nfit = \"{fit}\"\n");
        }
        table
    }
}

/// The standard output of a command, which must succeed.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|error| Failure::Program(format!("{command:?}: {error}")))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(Failure::Program(format!("{command:?}: {}: {}", done.status, said.trim())));
    }
    Ok(done.stdout)
}
