//! Cameras whose pictures a simulated device decodes, with the frame path behind them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest as _, Md5};
use vas_config::{Config, Environment};
use vas_frame::{Nv12Image, Reader};
use vas_media::{
    CudaDevice, Decoder, DecoderKind, Frame, Packet, Received, SourceRequest, StopFlag, StreamInfo,
    Transport,
};
use vas_pipeline::{Demand, FrameSink as _, InputStats};
use vas_status::{DownloadEngine, DropReason};

use crate::{ExportStats, FramePath, Tap};

const LONG: Duration = Duration::from_secs(60);

/// Pictures of a clip; the first needs no other to decode.
pub(super) const PICTURES: usize = 24;

/// FFmpeg's moving test picture in H.264.
pub(super) struct Clip {
    _dir: tempfile::TempDir,
    path: PathBuf,
    pub(super) size: (usize, usize),
}

impl Clip {
    pub(super) fn encode(size: (usize, usize)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clip.mp4");
        let source = format!("testsrc2=size={}x{}:rate=240", size.0, size.1);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source, "-frames:v"]);
        ffmpeg.args([&PICTURES.to_string(), "-c:v", "libx264", "-preset", "ultrafast"]);
        ffmpeg.args(["-bf", "0", "-pix_fmt", "yuv420p"]).arg(&path).stdin(Stdio::null());
        assert!(ffmpeg.status().expect("ffmpeg is installed").success());
        Self { _dir: dir, path, size }
    }

    /// 320x192.
    pub(super) fn small() -> Self {
        Self::encode((320, 192))
    }

    /// MD5 of each NV12 picture that a device of this seed produces for the clip.
    pub(super) fn predicted(&self, seed: u64) -> Vec<Vec<u8>> {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(&self.path).stdin(Stdio::null());
        let bytes = ffmpeg.args(["-c", "copy", "-f", "h264", "-"]).output().unwrap().stdout;
        let contents =
            vas_sim_gpu::bitstream::contents(seed, vas_sim_gpu::bitstream::Codec::H264, &bytes);
        let (width, height) = self.size;
        contents.iter().map(|one| md5(&one.picture(width, height, 8))).collect()
    }

    fn read(&self) -> (StreamInfo, Vec<Packet>) {
        let request = SourceRequest {
            url: self.path.to_str().unwrap().into(),
            client: vas_media::RtspClient::Auto,
            transport: Transport::Auto,
            connect_timeout: LONG,
            read_timeout: LONG,
            sound: false,
        };
        let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
        let stream = source.stream().clone();
        (stream, std::iter::from_fn(|| source.next_packet().unwrap()).collect())
    }
}

pub(super) fn md5(bytes: &[u8]) -> Vec<u8> {
    Md5::digest(bytes).to_vec()
}

/// A clip in a loop, decoded by a GPU or the processor.
pub(super) struct Pictures {
    pub(super) stream: StreamInfo,
    packets: Vec<Packet>,
    sent: usize,
    decoder: Box<dyn Decoder>,
}

impl Pictures {
    /// To be opened once readers are attached: pictures that arrived before are not for them.
    pub(super) fn on_gpu(device: &Arc<CudaDevice>, clip: &Clip) -> Self {
        Self::new(clip, |stream| {
            vas_media::open_nvdec(stream, device, vas_pipeline::EXTRA_SURFACES).unwrap()
        })
    }

    pub(super) fn on_processor(clip: &Clip) -> Self {
        Self::new(clip, |stream| vas_media::open_software(stream, 1).unwrap())
    }

    fn new(clip: &Clip, open: impl FnOnce(&StreamInfo) -> Box<dyn Decoder>) -> Self {
        let (stream, packets) = clip.read();
        let decoder = open(&stream);
        Self { stream, packets, sent: 0, decoder }
    }

    /// Decode surfaces that the decoder uses.
    pub(super) fn surfaces(&self) -> u32 {
        self.decoder.surface_memory().map_or(0, |memory| memory.surfaces)
    }

    pub(super) fn kind(&self) -> DecoderKind {
        self.decoder.kind()
    }

    /// Decodes the next one into `frame`.
    pub(super) fn next_into(&mut self, frame: &mut Frame) {
        while self.decoder.receive(frame).unwrap() != Received::Frame {
            self.decoder.send(&self.packets[self.sent % self.packets.len()]).unwrap();
            self.sent += 1;
        }
    }

    /// The error that the decoder reports.
    pub(super) fn failure(&mut self) -> String {
        let mut frame = Frame::new();
        loop {
            let packet = &self.packets[self.sent % self.packets.len()];
            self.sent += 1;
            let answer = self.decoder.send(packet).and_then(|()| self.decoder.receive(&mut frame));
            if let Err(error) = answer {
                return error.to_string();
            }
        }
    }

    pub(super) fn next(&mut self) -> Frame {
        let mut frame = Frame::new();
        self.next_into(&mut frame);
        frame
    }
}

/// A frame path with cameras, each with a reader.
pub(super) struct GpuRig {
    pub(super) cameras: Vec<Cam>,
    pub(super) path: FramePath,
    dir: tempfile::TempDir,
}

pub(super) struct Cam {
    pub(super) tap: Tap,
    pub(super) input_stats: Arc<InputStats>,
    pub(super) stats: Arc<ExportStats>,
    demand: Arc<Demand>,
    pub(super) reader: Reader,
}

impl GpuRig {
    pub(super) fn new(cameras: usize, settings: &str) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let config = config(dir.path(), cameras, settings);
        let path = FramePath::started(&config.export);
        let cameras = config.cameras.iter().map(|camera| Cam::new(&path, dir.path(), camera));
        Self { cameras: cameras.collect(), path, dir }
    }

    /// Ends it as the service does, whose decode threads have ended by then.
    pub(super) fn stop(self) {
        let Self { cameras, path, dir } = self;
        drop(cameras);
        path.end();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a stop leaves nothing");
    }
}

fn config(dir: &Path, cameras: usize, settings: &str) -> Config {
    let mut text =
        format!("[service]\nrun_dir = \"/run/vas\"\n[export]\ndir = {dir:?}\n{settings}\n");
    for index in 0..cameras {
        text += &format!("[[camera]]\nid = \"cam{index}\"\nurl = \"testsrc:64x64@25\"\n");
    }
    let file = dir.join("config.toml");
    std::fs::write(&file, text).unwrap();
    let config = vas_config::load(&file, &Environment::of_this_process()).unwrap();
    std::fs::remove_file(&file).unwrap();
    config
}

impl Cam {
    fn new(path: &FramePath, dir: &Path, camera: &vas_config::Camera) -> Self {
        let (input_stats, demand) = (Arc::new(InputStats::default()), Arc::new(Demand::default()));
        let (tap, stats) = path.tap(camera, &input_stats, &demand);
        let reader = loop {
            match Reader::options().dir(dir).open(&camera.id) {
                Ok(reader) => break reader,
                Err(vas_frame::OpenError::NoCamera { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        let cam = Self { tap, input_stats, stats, demand, reader };
        while cam.demand.since_ns().is_none() {
            std::thread::yield_now();
        }
        cam
    }

    pub(super) fn exported(&self) -> u64 {
        self.input_stats.counters.exported()
    }

    pub(super) fn drops(&self, why: DropReason) -> u64 {
        self.input_stats.counters.drops().get(why)
    }

    /// Counts of each drop reason, except for the time until the first frame.
    pub(super) fn dropped(&self) -> Vec<(&'static str, u64)> {
        let drops = self.input_stats.counters.drops().iter();
        drops.filter(|(name, count)| *count > 0 && *name != "epoch_opening").collect()
    }

    /// Frames that were published or dropped.
    fn settled(&self) -> u64 {
        let dropped = self.input_stats.counters.drops().iter().map(|(_, count)| count);
        self.exported() + dropped.sum::<u64>()
    }

    /// Offers the next picture and waits for its outcome.
    pub(super) fn pass(&mut self, pictures: &mut Pictures) {
        let before = self.settled();
        self.tap.take(&mut pictures.next());
        while self.settled() == before {
            std::thread::yield_now();
        }
    }

    /// Offers pictures until one was published.
    pub(super) fn warm_up(&mut self, pictures: &mut Pictures) {
        self.tap.begin(&pictures.stream, pictures.kind());
        let before = self.exported();
        while self.exported() == before {
            self.pass(pictures);
        }
    }

    /// Id and MD5 of the newest frame.
    pub(super) fn newest(&mut self) -> (u64, Vec<u8>) {
        let frame = self.reader.seek(0).set_timeout(LONG).newer().unwrap();
        let mut image = Nv12Image::default();
        frame.copy_if_valid(&mut image).unwrap();
        (frame.meta().frame_id, md5(image.data()))
    }

    /// Ids of all frames that can be read, and when they were published, oldest first.
    pub(super) fn readable(&mut self) -> Vec<(u64, u64)> {
        let mut frames: Vec<(u64, u64)> = Vec::new();
        let after = |frames: &[(u64, u64)]| frames.last().map_or(0, |(id, _)| *id);
        while let Ok(frame) = self.reader.seek(after(&frames)).set_timeout(Duration::ZERO).next() {
            frames.push((frame.meta().frame_id, frame.meta().published_ns));
        }
        frames
    }

    /// Waits until the status reports this download engine and reason.
    pub(super) fn until_download(&self, engine: DownloadEngine, has: impl Fn(&str) -> bool) {
        loop {
            let download = self.stats.get().download;
            if download.engine == engine && has(download.why.as_deref().unwrap_or("")) {
                return;
            }
            std::thread::yield_now();
        }
    }
}
