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
    Transport, VaapiDevice, render_nodes,
};
use vas_pipeline::{Demand, FrameSink as _, InputStats};
use vas_scale::{ColorInfo, Plan, Plane, Request, Source, reference};
use vas_sim_gpu::bitstream::{Codec, contents};
use vas_sim_gpu::picture::Content;
use vas_status::{DownloadEngine, DropReason};

use super::rig::{LONG, open, until};
use crate::{ExportStats, FramePath, Tap};

/// Pictures of a clip; the first needs no other to decode.
pub(super) const PICTURES: usize = 24;

/// FFmpeg's moving test picture, in H.264, or with 10 bits in H.265.
pub(super) struct Clip {
    _dir: tempfile::TempDir,
    path: PathBuf,
    pub(super) size: (usize, usize),
    depth: u32,
}

impl Clip {
    pub(super) fn of_depth(size: (usize, usize), depth: u32) -> Self {
        if depth == 8 { Self::encode(size) } else { Self::ten_bit(size) }
    }

    pub(super) fn encode(size: (usize, usize)) -> Self {
        Self::with(size, 8, &["-c:v", "libx264", "-pix_fmt", "yuv420p"])
    }

    /// In H.265.
    pub(super) fn ten_bit(size: (usize, usize)) -> Self {
        let x265 =
            ["-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error"];
        Self::with(size, 10, &x265)
    }

    /// With columns and rows cropped on all sides: 6 on the left, 4 at the top, 2 on the right, 8 at the bottom.
    pub(super) fn cropped(coded: (usize, usize)) -> Self {
        let crop = "h264_metadata=crop_left=6:crop_top=4:crop_right=2:crop_bottom=8";
        let x264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-bsf:v", crop];
        Self { size: (coded.0 - 8, coded.1 - 12), ..Self::with(coded, 8, &x264) }
    }

    fn with(size: (usize, usize), depth: u32, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clip.mp4");
        let source = format!("testsrc2=size={}x{}:rate=240", size.0, size.1);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source, "-frames:v"]);
        ffmpeg.args([&PICTURES.to_string(), "-preset", "ultrafast", "-bf", "0"]).args(options);
        ffmpeg.arg(&path).stdin(Stdio::null());
        assert!(ffmpeg.status().expect("ffmpeg is installed").success());
        Self { _dir: dir, path, size, depth }
    }

    /// 320x192.
    pub(super) fn small() -> Self {
        Self::encode((320, 192))
    }

    /// MD5 of each NV12 picture that a device of this seed produces for the clip.
    pub(super) fn predicted(&self, seed: u64) -> Vec<Vec<u8>> {
        self.predicted_as(seed, Request::default()).1
    }

    /// The plan for the clip's pictures, and MD5 of what the document makes of each.
    pub(super) fn predicted_as(&self, seed: u64, request: Request) -> (Plan, Vec<Vec<u8>>) {
        let (width, height) = self.size;
        let plan = Plan::new((width as u32, height as u32), request, ColorInfo::default()).unwrap();
        let sample_bytes = if self.depth == 8 { 1 } else { 2 };
        let (row, even) = (sample_bytes * width, sample_bytes * width.next_multiple_of(2));
        let converted = |content: &Content| {
            let picture = content.picture(width, height, self.depth);
            let (luma, chroma) = picture.split_at(row * height);
            let (y, uv) = (Plane::new(luma, row), Plane::new(chroma, even));
            let source = match self.depth {
                8 => Source::Nv12 { y, uv },
                _ => Source::P016 { y, uv },
            };
            let made = reference::scale(&source, &plan);
            md5(&[made.luma, made.chroma].concat())
        };
        (plan, self.contents(seed).iter().map(converted).collect())
    }

    pub(super) fn contents(&self, seed: u64) -> Vec<Content> {
        let (format, codec) = match self.depth {
            8 => ("h264", Codec::H264),
            _ => ("hevc", Codec::Hevc),
        };
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(&self.path).stdin(Stdio::null());
        let bytes = ffmpeg.args(["-c", "copy", "-f", format, "-"]).output().unwrap().stdout;
        contents(seed, codec, &bytes)
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

    /// On a render node, 0 for the first.
    pub(super) fn on_node(node: usize, clip: &Clip) -> Self {
        let device = VaapiDevice::open(&render_nodes()[node]).unwrap();
        Self::new(clip, |stream| {
            vas_media::open_vaapi(stream, &device, vas_pipeline::EXTRA_SURFACES).unwrap()
        })
    }

    fn new(clip: &Clip, open: impl FnOnce(&StreamInfo) -> Box<dyn Decoder>) -> Self {
        let (stream, packets) = clip.read();
        let decoder = open(&stream);
        Self { stream, packets, sent: 0, decoder }
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

/// A frame path with cameras, each with a reader, and the GPU that decodes for them.
pub(super) struct GpuRig {
    pub(super) cameras: Vec<Cam>,
    pub(super) clip: Clip,
    /// GPU 0, held open beside the decoders and the engine.
    pub(super) device: Option<Arc<CudaDevice>>,
    path: FramePath,
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
    pub(super) fn new(cameras: usize) -> Self {
        Self::playing(Clip::small(), cameras)
    }

    pub(super) fn playing(clip: Clip, cameras: usize) -> Self {
        Self::exporting(clip, cameras, "")
    }

    /// With these settings of `[camera.export]`.
    pub(super) fn exporting(clip: Clip, cameras: usize, export: &str) -> Self {
        let device = Some(CudaDevice::open(0).unwrap());
        Self::on(device, clip, cameras, &format!("[camera.export]\n{export}"))
    }

    /// Without an NVIDIA GPU; `settings` are those of each camera.
    pub(super) fn of_nodes(clip: Clip, cameras: usize, settings: &str) -> Self {
        Self::on(None, clip, cameras, settings)
    }

    fn on(device: Option<Arc<CudaDevice>>, clip: Clip, cameras: usize, settings: &str) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let config = config(dir.path(), cameras, settings);
        let path = FramePath::started(&config.export);
        let cameras = config.cameras.iter().map(|camera| Cam::new(&path, dir.path(), camera));
        Self { cameras: cameras.collect(), clip, device, path, dir }
    }

    /// A decoder on GPU 0.
    pub(super) fn pictures(&self) -> Pictures {
        Pictures::on_gpu(self.device.as_ref().unwrap(), &self.clip)
    }

    /// The first camera, and pictures for it, of which one has been published.
    pub(super) fn camera(&mut self) -> (&mut Cam, Pictures) {
        let mut pictures = self.pictures();
        let camera = &mut self.cameras[0];
        camera.warm_up(&mut pictures);
        (camera, pictures)
    }

    /// Ends it as the service does: the decoders go first, the GPU goes last.
    pub(super) fn stop(self, decoders: impl IntoIterator<Item = Pictures>) {
        let Self { cameras, device, path, dir, .. } = self;
        decoders.into_iter().for_each(drop);
        drop(cameras);
        path.end();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a stop leaves nothing");
        drop(device);
    }
}

fn config(dir: &Path, cameras: usize, settings: &str) -> Config {
    let mut text = format!(
        "[service]\nrun_dir = \"/run/vas\"\n[export]\ndir = {dir:?}\nslots = 64\nhold = \"1ms\"\n"
    );
    for index in 0..cameras {
        text +=
            &format!("[[camera]]\nid = \"cam{index}\"\nurl = \"testsrc:64x64@25\"\n{settings}\n");
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
        let reader = open(dir, &camera.id);
        let cam = Self { tap, input_stats, stats, demand, reader };
        until(|| cam.demand.since_ns().is_some());
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
        until(|| self.settled() != before);
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
        until(|| {
            let download = self.stats.get().download;
            download.engine == engine && has(download.why.as_deref().unwrap_or(""))
        });
    }
}
