//! A frame path with one camera, and frames for it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use vas_config::{Config, Environment};
use vas_frame::{CameraId, Reader};
use vas_media::{Frame, Received, SourceRequest, StopFlag, StreamInfo, Transport};
use vas_pipeline::{Demand, Exporter as _, FrameSink as _, InputStats};
use vas_status::ExportState;

use crate::FramePath;
use crate::stats::ExportStats;
use crate::tap::Tap;

pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

/// A frame path with one camera, whose frames the test offers itself.
pub(crate) struct Rig {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) path: FramePath,
    pub(crate) tap: Tap,
    pub(crate) input_stats: Arc<InputStats>,
    pub(crate) stats: Arc<ExportStats>,
    pub(crate) demand: Arc<Demand>,
    pub(crate) camera: vas_config::Camera,
    /// A reader, so that frames are copied.
    pub(crate) present: Option<Reader>,
}

impl Rig {
    pub(crate) fn new(settings: &str) -> Self {
        Self::with_camera(settings, "")
    }

    pub(crate) fn with_camera(settings: &str, camera: &str) -> Self {
        let mut rig = Self::unread(settings, camera);
        rig.path.look_after(Instant::now());
        rig.attach_reader();
        rig
    }

    /// Without its threads and without a reader.
    pub(crate) fn unread(settings: &str, camera: &str) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let text = format!(
            "[service]\nrun_dir = \"/run/vas\"\n[export]\ndir = {:?}\n{settings}\n\
             [[camera]]\nid = \"cam\"\nurl = \"testsrc:64x64@25\"\n{camera}",
            dir.path(),
        );
        let file = dir.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let config: Config = vas_config::load(&file, &Environment::of_this_process()).unwrap();
        std::fs::remove_file(&file).unwrap();
        let path = FramePath::new(&config.export);
        let input_stats = Arc::new(InputStats::default());
        let demand = Arc::new(Demand::default());
        let (tap, stats) = path.tap(&config.cameras[0], &input_stats, &demand);
        let camera = config.cameras[0].clone();
        Self { dir, path, tap, input_stats, stats, demand, camera, present: None }
    }

    /// Waits for the export's state.
    pub(crate) fn until_state(&self, state: ExportState) -> String {
        until(|| self.stats.get().state == state);
        self.stats.get().detail
    }

    /// Offers frames until a reader that attaches after it gets one.
    pub(crate) fn until_current(&mut self) {
        self.until_published();
        while self.reader().latest().is_err() {
            self.until_published();
        }
    }

    /// Offers current frames until one is published.
    pub(crate) fn until_published(&mut self) {
        let before = self.input_stats.counters.exported();
        while self.input_stats.counters.exported() == before {
            self.offer(&decoded("64x64", 1).1[0]);
        }
    }

    pub(crate) fn attach_reader(&mut self) {
        self.present = Some(self.reader());
        until(|| self.demand.since_ns().is_some());
    }

    pub(crate) fn everybody_leaves(&mut self) {
        self.present = None;
        until(|| self.demand.since_ns().is_none());
    }

    pub(crate) fn reader(&self) -> Reader {
        open(self.dir.path(), &self.camera.id)
    }

    /// Offers copies of a frame, one at a time, until its ring is open and one was published.
    pub(crate) fn warm_up(&mut self, stream: &StreamInfo, frame: &Frame) {
        self.tap.begin(stream, vas_media::DecoderKind::Software);
        let before = self.input_stats.counters.exported();
        while self.input_stats.counters.exported() == before {
            self.offer(frame);
        }
    }

    /// Offers a copy of a frame and waits for its outcome.
    pub(crate) fn offer(&mut self, frame: &Frame) {
        let before = self.settled();
        self.tap.take(&mut share(frame));
        until(|| self.settled() != before);
    }

    /// Frames that were published or dropped.
    pub(crate) fn settled(&self) -> u64 {
        let counters = &self.input_stats.counters;
        counters.exported() + counters.drops().iter().map(|(_, count)| count).sum::<u64>()
    }

    pub(crate) fn dropped(&self) -> Vec<(&'static str, u64)> {
        let drops = self.input_stats.counters.drops().iter();
        drops.filter(|(_, count)| *count > 0).collect()
    }
}

/// Waits for the export's directory, which the ring manager's thread creates.
pub(crate) fn open(dir: &Path, camera: &CameraId) -> Reader {
    loop {
        match Reader::options().dir(dir).open(camera) {
            Ok(reader) => return reader,
            Err(vas_frame::OpenError::NoCamera { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn share(frame: &Frame) -> Frame {
    let mut shared = Frame::new();
    shared.ref_from(frame).unwrap();
    shared
}

/// Decodes `count` test pictures.
pub(crate) fn decoded(size: &str, count: usize) -> (StreamInfo, Vec<Frame>) {
    let request = SourceRequest {
        url: format!("testsrc:{size}@240"),
        transport: Transport::Auto,
        client: vas_media::RtspClient::Auto,
        connect_timeout: LONG,
        read_timeout: LONG,
        sound: false,
    };
    let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
    let stream = source.stream().clone();
    let mut decoder = vas_media::open_software(&stream, 1).unwrap();
    let mut frames = Vec::new();
    while frames.len() < count {
        decoder.send(&source.next_packet().unwrap().unwrap()).unwrap();
        let mut frame = Frame::new();
        while decoder.receive(&mut frame).unwrap() == Received::Frame {
            frames.push(std::mem::take(&mut frame));
        }
    }
    (stream, frames)
}

pub(crate) fn md5_of(frame: &Frame) -> Vec<u8> {
    let (w, h) = (frame.width() as usize, frame.height() as usize);
    let mut md5 = Md5::new();
    (0..h).for_each(|r| md5.update(&frame.plane(0)[r * frame.stride(0)..][..w]));
    for row in 0..h / 2 {
        for column in 0..w / 2 {
            let sample = |p| frame.plane(p)[row * frame.stride(p) + column];
            md5.update([sample(1), sample(2)]);
        }
    }
    md5.finalize().to_vec()
}
