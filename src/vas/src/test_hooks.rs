//! Hooks for tests only: a second sink of decoded frames, independent of the export flag, so that
//! decoding with the flag on and off can be compared; a decoder made slow on purpose; and a folder
//! in place of the driver's list of GPUs.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use vas_frame::CameraId;
use vas_media::{DecoderKind, Frame, StreamInfo};
use vas_pipeline::FrameSink;

/// Options of `vas run` that its help does not show.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TestHooks {
    /// Write `DIR/CAMERA.frames`: a line with PTS, size, format and MD5 for each decoded frame.
    #[arg(long, value_name = "DIR", hide = true)]
    test_frame_log: Option<PathBuf>,
    /// Spend this long, in milliseconds, on each frame on the decode thread.
    #[arg(long, value_name = "MS", hide = true)]
    test_decode_delay: Option<u64>,
    /// Read this folder in place of NVIDIA's /proc/driver/nvidia.
    #[arg(long, value_name = "DIR", hide = true)]
    test_nvidia_proc: Option<PathBuf>,
}

impl TestHooks {
    /// Where NVIDIA's driver lists its GPUs.
    pub(crate) fn nvidia_proc(&self) -> &Path {
        self.test_nvidia_proc.as_deref().unwrap_or(Path::new("/proc/driver/nvidia"))
    }

    /// Whether each camera that may be exported is decoded for a test.
    pub(crate) fn takes_frames(&self) -> bool {
        self.test_frame_log.is_some() || self.test_decode_delay.is_some()
    }

    /// The requested sinks.
    pub(crate) fn sinks(&self, camera: &CameraId) -> std::io::Result<Vec<Box<dyn FrameSink>>> {
        let mut sinks: Vec<Box<dyn FrameSink>> = Vec::new();
        if let Some(dir) = &self.test_frame_log {
            let file = File::create(dir.join(format!("{camera}.frames")))?;
            sinks.push(Box::new(FrameLog { file: BufWriter::new(file) }));
        }
        if let Some(delay) = self.test_decode_delay {
            sinks.push(Box::new(Delay(Duration::from_millis(delay))));
        }
        Ok(sinks)
    }
}

/// Logs decoded frames.
struct FrameLog {
    file: BufWriter<File>,
}

impl FrameSink for FrameLog {
    fn begin(&mut self, stream: &StreamInfo, decoder: DecoderKind) {
        self.line(format_args!("# {stream} {decoder}"));
    }

    fn take(&mut self, frame: &mut Frame) {
        let mut md5 = Md5::new();
        for plane in 0..4 {
            // Including padding between rows: the comparison covers all of the decoder's memory.
            md5.update(frame.plane(plane));
        }
        let digest = md5.finalize();
        let pts = frame.pts_ns().unwrap_or(i64::MIN);
        let (width, height, format) = (frame.width(), frame.height(), frame.format_name());
        self.line(format_args!("{pts} {width}x{height} {format} {}", hex(&digest)));
    }
}

impl FrameLog {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A test that finds its log too short fails.
        let _ = writeln!(self.file, "{line}").and_then(|()| self.file.flush());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Slows decoding down.
struct Delay(Duration);

impl FrameSink for Delay {
    fn begin(&mut self, _: &StreamInfo, _: DecoderKind) {}

    fn take(&mut self, _: &mut Frame) {
        std::thread::sleep(self.0);
    }
}
