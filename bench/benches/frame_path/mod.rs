//! The frame path as the service assembles it, with cameras whose frames the bench offers itself.
//!
//! It goes through `vas_pipeline::Exporter`, as a shard does: what is measured here is what a decode thread pays.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vas_config::{Config, Environment};
use vas_export::FramePath;
use vas_frame::{OpenError, Reader};
use vas_media::{
    CudaDevice, Decoder, Frame, Packet, Received, RtspClient, SourceRequest, StopFlag, StreamInfo,
    Transport,
};
use vas_pipeline::{Demand, Exporter as _, FrameSink, InputStats};

const LONG: Duration = Duration::from_secs(60);

/// Pictures that are decoded in a loop; the first needs no other to decode.
pub(crate) const PICTURES: usize = 24;

/// A running frame path.
pub(crate) struct Export {
    pub(crate) cameras: Vec<Camera>,
    path: Box<FramePath>,
    dir: tempfile::TempDir,
}

/// A camera of it, with a reader, so that frames are copied.
pub(crate) struct Camera {
    pub(crate) tap: Box<dyn FrameSink>,
    stats: Arc<InputStats>,
    _reader: Reader,
}

impl Export {
    /// `settings` is the rest of the section `[export]`.
    pub(crate) fn start(cameras: usize, settings: &str) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
        let config = config(dir.path(), cameras, settings);
        let mut path = Box::new(FramePath::new(&config.export));
        path.look_after(Instant::now());
        let cameras = config.cameras.iter().map(|camera| Camera::add(&path, dir.path(), camera));
        Self { cameras: cameras.collect(), path, dir }
    }

    /// Ends it as a shard does, whose decode threads have ended by then.
    pub(crate) fn stop(self) {
        drop(self.cameras);
        self.path.stop();
        let left = std::fs::read_dir(self.dir.path()).expect("the directory is ours").count();
        assert_eq!(left, 0, "a stop leaves no files");
    }
}

fn config(dir: &Path, cameras: usize, settings: &str) -> Config {
    let mut text =
        format!("[service]\nrun_dir = \"/run/vas\"\n[export]\ndir = {dir:?}\n{settings}\n");
    for index in 0..cameras {
        text += &format!("[[camera]]\nid = \"cam{index}\"\nurl = \"testsrc:64x64@25\"\n");
    }
    let file = dir.join("config.toml");
    std::fs::write(&file, text).expect("a config can be written");
    let config =
        vas_config::load(&file, &Environment::of_this_process()).expect("a config of this bench");
    std::fs::remove_file(&file).expect("the file is ours");
    config
}

impl Camera {
    fn add(path: &FramePath, dir: &Path, camera: &vas_config::Camera) -> Self {
        let (stats, demand) = (Arc::new(InputStats::default()), Arc::new(Demand::default()));
        let (tap, _) = path.add(camera, &stats, &demand);
        let reader = loop {
            match Reader::options().dir(dir).open(&camera.id) {
                Ok(reader) => break reader,
                // The ring manager's thread makes the directory.
                Err(OpenError::NoCamera { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        while demand.since_ns().is_none() {
            std::thread::yield_now();
        }
        Self { tap, stats, _reader: reader }
    }

    /// Frames that were published.
    pub(crate) fn exported(&self) -> u64 {
        self.stats.counters.exported()
    }

    /// Frames that were dropped, by reason.
    pub(crate) fn dropped(&self) -> Vec<(&'static str, u64)> {
        self.stats.counters.drops().iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Frames that were published or dropped.
    pub(crate) fn settled(&self) -> u64 {
        self.exported() + self.stats.counters.drops().iter().map(|(_, count)| count).sum::<u64>()
    }

    /// Offers pictures, one at a time, until one was published.
    pub(crate) fn warm_up(&mut self, pictures: &mut Pictures) {
        self.tap.begin(&pictures.stream, pictures.decoder.kind());
        let before = self.exported();
        while self.exported() == before {
            let settled = self.settled();
            self.tap.take(&mut pictures.next());
            while self.settled() == settled {
                std::thread::yield_now();
            }
        }
    }
}

/// The first pictures of a source in a loop, decoded by a GPU or the processor.
pub(crate) struct Pictures {
    stream: StreamInfo,
    packets: Vec<Packet>,
    sent: usize,
    pub(crate) decoder: Box<dyn Decoder>,
}

impl Pictures {
    /// To be opened once readers are attached: pictures that arrived before are not for them.
    pub(crate) fn open(url: &str, device: Option<&Arc<CudaDevice>>) -> Self {
        let request = SourceRequest {
            url: url.into(),
            transport: Transport::Auto,
            client: RtspClient::Auto,
            connect_timeout: LONG,
            read_timeout: LONG,
            sound: false,
        };
        let mut source =
            vas_media::open(&request, &StopFlag::new()).expect("a source of this bench");
        let stream = source.stream().clone();
        let packets = std::iter::from_fn(|| source.next_packet().expect("packets of this bench"));
        let packets = packets.take(PICTURES).collect();
        let decoder = match device {
            Some(device) => vas_media::open_nvdec(&stream, device, vas_pipeline::EXTRA_SURFACES),
            None => vas_media::open_software(&stream, 1),
        };
        Self { stream, packets, sent: 0, decoder: decoder.expect("a decoder for this stream") }
    }

    /// Decodes the next one.
    pub(crate) fn next(&mut self) -> Frame {
        let mut frame = Frame::new();
        while self.decoder.receive(&mut frame).expect("a decodable stream") != Received::Frame {
            let packet = &self.packets[self.sent % self.packets.len()];
            self.decoder.send(packet).expect("a decodable stream");
            self.sent += 1;
        }
        frame
    }
}
