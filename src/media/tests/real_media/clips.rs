//! Clips and reference pictures from the `ffmpeg` command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use vas_media::{Frame, Received, Source, SourceRequest, StopFlag, Transport};

/// A clip in a directory of its own.
pub(crate) struct Clip {
    dir: TempDir,
    file: PathBuf,
}

impl Clip {
    /// Encodes FFmpeg's moving test picture with the given output arguments.
    pub(crate) fn encode(name: &str, picture: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", picture]).args(arguments).arg(&file);
        let output = command.output().expect("ffmpeg is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { dir, file }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn open(&self) -> Box<dyn Source> {
        open(self.file.to_str().unwrap())
    }

    /// All pictures that ffmpeg decodes with the given output arguments, concatenated.
    pub(crate) fn reference(&self, arguments: &[&str]) -> Vec<u8> {
        reference_of(&[], &self.file, arguments)
    }
}

/// All pictures of a file that ffmpeg decodes with the given input and output arguments, concatenated.
pub(crate) fn reference_of(input: &[&str], file: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = ffmpeg();
    // Without `unaligned` ffmpeg rounds a left crop down to keep rows aligned.
    command
        .args(["-flags", "unaligned"])
        .args(input)
        .arg("-i")
        .arg(file)
        .args(["-fps_mode", "passthrough"])
        .args(arguments);
    let output = command.args(["-f", "rawvideo", "-"]).output().expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty());
    output.stdout
}

pub(crate) fn open(url: &str) -> Box<dyn Source> {
    vas_media::open(&request(url), &StopFlag::new()).unwrap()
}

pub(crate) fn request(url: &str) -> SourceRequest {
    SourceRequest {
        url: url.into(),
        transport: Transport::Tcp,
        client: vas_media::RtspClient::Auto,
        connect_timeout: Duration::from_secs(30),
        read_timeout: Duration::from_secs(30),
        sound: false,
    }
}

/// Decodes a source to its end and calls `each` for every frame; returns the number of frames.
pub(crate) fn decode_all(source: &mut dyn Source, mut each: impl FnMut(&Frame)) -> usize {
    let mut decoder = vas_media::open_software(source.stream(), 1).unwrap();
    let mut frame = Frame::new();
    let mut count = 0;
    let mut ended = false;
    while !ended {
        match source.next_packet().unwrap() {
            Some(packet) => decoder.send(&packet).unwrap(),
            None => {
                decoder.finish().unwrap();
                ended = true;
            }
        }
        while decoder.receive(&mut frame).unwrap() == Received::Frame {
            each(&frame);
            count += 1;
        }
    }
    count
}

/// The visible samples of the first `planes` planes, without padding between rows.
pub(crate) fn visible(frame: &Frame, planes: usize, bytes_per_sample: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for plane in 0..planes {
        let width = frame.width() as usize;
        let row = if plane == 0 { width } else { width.div_ceil(2) } * bytes_per_sample;
        for line in frame.plane(plane).chunks(frame.stride(plane)) {
            out.extend_from_slice(&line[..row]);
        }
    }
    out
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-threads", "1"]).stdin(Stdio::null());
    command
}
