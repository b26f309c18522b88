//! Clips, and the pictures that a simulated device decodes them to.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use md5::{Digest as _, Md5};
use tempfile::TempDir;
use vas_media::{
    DecodeError, Decoder, Frame, Received, Source, SourceRequest, StopFlag, Transport,
};
use vas_sim_gpu::bitstream::{Codec, contents};
use vas_sim_gpu::picture::Content;
use vas_sim_gpu::testing::SimulatedGpu;

pub(crate) const FRAMES: usize = 12;

/// A clip in a directory of its own.
pub(crate) struct Clip {
    _dir: TempDir,
    path: PathBuf,
    codec: Codec,
}

impl Clip {
    /// Encodes FFmpeg's moving test picture, in 8 bits unless `options` override that.
    pub(crate) fn encode(codec: Codec, (width, height): (usize, usize), options: &[&str]) -> Self {
        let source = format!("testsrc2=size={width}x{height}:rate=25");
        let encoder = if codec == Codec::H264 { "libx264" } else { "libx265" };
        let clip = Self::empty(codec, "clip.mp4");
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", &source, "-frames:v", &FRAMES.to_string()]);
        command.args(["-c:v", encoder, "-preset", "ultrafast", "-x265-params", "log-level=error"]);
        command.args(["-pix_fmt", "yuv420p"]).args(options);
        run(command.arg(&clip.path));
        clip
    }

    /// H.264 without reordering, small enough to be decoded many times.
    pub(crate) fn small() -> Self {
        Self::encode(Codec::H264, (320, 192), &["-bf", "0"])
    }

    /// The clip repeated several times, with continuous timestamps.
    pub(crate) fn repeated(&self, times: usize) -> Self {
        let whole = Self::empty(self.codec, "repeated.mp4");
        let mut command = ffmpeg();
        command.args(["-stream_loop", &(times - 1).to_string(), "-i"]).arg(&self.path);
        run(command.args(["-c", "copy"]).arg(&whole.path));
        whole
    }

    /// The concatenated elementary streams of clips of one codec.
    pub(crate) fn joined(clips: &[&Self]) -> Self {
        let codec = clips[0].codec;
        let whole = Self::empty(codec, &format!("joined.{}", format(codec)));
        let bytes: Vec<Vec<u8>> = clips.iter().map(|clip| clip.annex_b()).collect();
        std::fs::write(&whole.path, bytes.concat()).unwrap();
        whole
    }

    fn empty(codec: Codec, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        Self { _dir: dir, path, codec }
    }

    fn annex_b(&self) -> Vec<u8> {
        let mut command = ffmpeg();
        command.arg("-i").arg(&self.path);
        run(command.args(["-c", "copy", "-f", format(self.codec), "-"]))
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

    /// What a device with this seed decodes, in decoding order.
    pub(crate) fn contents(&self, seed: u64) -> Vec<Content> {
        contents(seed, self.codec, &self.annex_b())
    }

    /// MD5 of each predicted picture, NV12 or P010, in decoding order.
    pub(crate) fn predicted(
        &self,
        seed: u64,
        (width, height): (usize, usize),
        depth: u32,
    ) -> Vec<String> {
        let pictures = self.contents(seed);
        pictures.iter().map(|content| md5(&content.picture(width, height, depth))).collect()
    }

    /// MD5 of each picture that ffmpeg downloads from a device with this seed, in output order.
    pub(crate) fn downloaded_by_ffmpeg(&self, seed: u64, depth: u32) -> Vec<String> {
        let format = if depth == 8 { "nv12" } else { "p010le" };
        let gpu = SimulatedGpu::new().set("seed", seed).start();
        let mut command = ffmpeg();
        command.args(["-hwaccel", "cuda", "-hwaccel_output_format", "cuda", "-i"]).arg(&self.path);
        let filter = format!("hwdownload,format={format}");
        command.args(["-vf", &filter, "-fps_mode", "passthrough"]);
        md5s(&run(gpu.configure(&mut command).args(["-f", "framemd5", "-"])))
    }

    /// MD5 of each picture that ffmpeg decodes on the processor.
    pub(crate) fn decoded_by_ffmpeg(&self) -> Vec<String> {
        let mut command = ffmpeg();
        command.arg("-i").arg(&self.path).args(["-fps_mode", "passthrough"]);
        md5s(&run(command.args(["-f", "framemd5", "-"])))
    }
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

/// MD5 of a frame in memory, without padding between rows.
pub(crate) fn md5_in_memory(frame: &Frame) -> String {
    let mut picture = Vec::new();
    let sample = usize::from(frame.bit_depth().div_ceil(8));
    for plane in 0..3 {
        let width = frame.width() as usize;
        let row = if plane == 0 { width } else { width.div_ceil(2) } * sample;
        for line in frame.plane(plane).chunks(frame.stride(plane)) {
            picture.extend_from_slice(&line[..row]);
        }
    }
    md5(&picture)
}

pub(crate) fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// ffmpeg's name for the elementary stream.
fn format(codec: Codec) -> &'static str {
    if codec == Codec::H264 { "h264" } else { "hevc" }
}

fn md5s(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().into()).collect()
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
