//! Clips, and the pictures that a simulated driver decodes them to.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use vas_media::{
    DecodeError, Decoder, Frame, Received, Source, SourceRequest, StopFlag, Transport, VaapiDevice,
    render_nodes,
};
use vas_sim_vaapi::bitstream::{Codec, contents};
use vas_sim_vaapi::picture::Content;
use vas_sim_vaapi::testing::Simulator;

pub(crate) const FRAMES: usize = 12;

/// A clip in a directory of its own.
pub(crate) struct Clip {
    _dir: TempDir,
    path: PathBuf,
    encoder: &'static str,
}

impl Clip {
    /// Encodes FFmpeg's moving test picture.
    pub(crate) fn encode(
        encoder: &'static str,
        pixels: &str,
        (width, height): (usize, usize),
        options: &[&str],
    ) -> Self {
        let source = format!("testsrc2=size={width}x{height}:rate=25");
        let clip = Self::empty(encoder, "clip.mp4");
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", &source, "-frames:v", &FRAMES.to_string()]);
        command.args(["-c:v", encoder, "-pix_fmt", pixels]);
        if encoder != "mjpeg" {
            command.args(["-preset", "ultrafast", "-x265-params", "log-level=error"]);
        }
        run(command.args(options).arg(&clip.path));
        clip
    }

    pub(crate) fn h264(size: (usize, usize), options: &[&str]) -> Self {
        Self::encode("libx264", "yuv420p", size, options)
    }

    /// H.264 without reordering, small enough to be decoded many times.
    pub(crate) fn small() -> Self {
        Self::h264((320, 192), &["-bf", "0"])
    }

    /// The concatenated elementary streams of clips of one codec.
    pub(crate) fn joined(clips: &[&Self]) -> Self {
        let whole = Self::empty(clips[0].encoder, "joined.h264");
        let bytes: Vec<Vec<u8>> = clips.iter().map(|clip| clip.stream()).collect();
        std::fs::write(&whole.path, bytes.concat()).unwrap();
        whole
    }

    /// The clip repeated several times, with continuous timestamps.
    pub(crate) fn repeated(&self, times: usize) -> Self {
        let whole = Self::empty(self.encoder, "repeated.mp4");
        let mut command = ffmpeg();
        command.args(["-stream_loop", &(times - 1).to_string(), "-i"]).arg(&self.path);
        run(command.args(["-c", "copy"]).arg(&whole.path));
        whole
    }

    fn empty(encoder: &'static str, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        Self { _dir: dir, path, encoder }
    }

    fn stream(&self) -> Vec<u8> {
        let format = if self.encoder == "libx264" { "h264" } else { "hevc" };
        let mut command = ffmpeg();
        command.arg("-i").arg(&self.path);
        run(command.args(["-c", "copy", "-f", format, "-"]))
    }

    pub(crate) fn open(&self) -> Box<dyn Source> {
        let request = SourceRequest {
            url: self.path.to_str().unwrap().into(),
            transport: Transport::Tcp,
            client: vas_media::RtspClient::Auto,
            connect_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            sound: false,
        };
        vas_media::open(&request, &StopFlag::new()).unwrap()
    }

    /// What a driver with this seed decodes, in decoding order.
    pub(crate) fn contents(&self, seed: u64) -> Vec<Content> {
        let codec = if self.encoder == "libx264" { Codec::H264 } else { Codec::Hevc };
        contents(seed, codec, &self.stream())
    }

    /// The pictures that ffmpeg downloads from this process's first node, in output order.
    pub(crate) fn downloaded_by_ffmpeg(&self, simulator: &Simulator, format: &str) -> Vec<u8> {
        let mut command = ffmpeg();
        command.args(["-hwaccel", "vaapi", "-hwaccel_device"]).arg(simulator.node(0));
        command.args(["-hwaccel_output_format", "vaapi", "-i"]).arg(&self.path);
        command.args(["-vf", &format!("hwdownload,format={format}"), "-noautoscale"]);
        run(command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-"]))
    }
}

/// The first node.
pub(crate) fn device() -> Arc<VaapiDevice> {
    VaapiDevice::open(&render_nodes()[0]).unwrap()
}

/// Decodes a source to its end or to a fatal error. Returns all errors.
pub(crate) fn decode(
    source: &mut dyn Source,
    decoder: &mut dyn Decoder,
    mut each: impl FnMut(&mut Frame),
) -> Vec<DecodeError> {
    let mut frame = Frame::new();
    let mut errors = Vec::new();
    loop {
        let packet = source.next_packet().unwrap();
        let sent = match &packet {
            Some(packet) => decoder.send(packet),
            None => decoder.finish(),
        };
        errors.extend(sent.err());
        loop {
            if errors.last().is_some_and(DecodeError::is_fatal) {
                return errors;
            }
            match decoder.receive(&mut frame) {
                Ok(Received::Frame) => each(&mut frame),
                Ok(Received::NeedPacket) => break,
                Ok(Received::End) => return errors,
                Err(error) => errors.push(error),
            }
        }
        if packet.is_none() {
            return errors;
        }
    }
}

/// The picture of a surface, without padding between rows.
pub(crate) fn picture(surface: &Frame) -> Vec<u8> {
    let mut mapped = Frame::new();
    mapped.map_from(surface).unwrap();
    let sample = usize::from(mapped.bit_depth().div_ceil(8));
    let width = mapped.width() as usize;
    let rows = [width * sample, width.next_multiple_of(2) * sample];
    let mut picture = Vec::new();
    for (plane, row) in rows.into_iter().enumerate() {
        for line in mapped.plane(plane).chunks(mapped.stride(plane)) {
            picture.extend_from_slice(&line[..row]);
        }
    }
    picture
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("ffmpeg is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    output.stdout
}
