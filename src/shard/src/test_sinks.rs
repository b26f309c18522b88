//! Sinks for tests only: one that logs frames, and one that makes a decoder slow on purpose.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::Duration;

use md5::{Digest as _, Md5};
use vas_channel::TestHooks;
use vas_frame::CameraId;
use vas_media::{DecoderKind, Frame, StreamInfo};
use vas_pipeline::FrameSink;

/// The requested sinks.
pub(super) fn of(hooks: &TestHooks, camera: &CameraId) -> std::io::Result<Vec<Box<dyn FrameSink>>> {
    let mut sinks: Vec<Box<dyn FrameSink>> = Vec::new();
    if let Some(dir) = &hooks.frame_log {
        let file = File::create(dir.join(format!("{camera}.frames")))?;
        sinks.push(Box::new(FrameLog { file: BufWriter::new(file) }));
    }
    if let Some(delay) = hooks.decode_delay_ms {
        sinks.push(Box::new(Delay(Duration::from_millis(delay))));
    }
    Ok(sinks)
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
