//! Re-encodes the camera's decoded frames: for H.265 and MJPEG, and for pictures that are too
//! large.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_utils::sync::Parker;
use vas_config::Producer;
use vas_endpoint::EndpointSlot;
use vas_frame::CameraId;
use vas_media::{
    DecoderKind, EncodeError, Encoder, EncoderRequest, Fraction, Frame, Packet, StreamInfo, fit,
    monotonic_ns, open_x264,
};
use vas_pipeline::{BranchStats as _, FrameSink, LatePart, Limits, PacketQueue, Wakeup, spawn};
use vas_rtp::KeyFrames;
use vas_status::{NotProduced, ProducerState};

use super::frames::{Frames, Numbered};
use super::sending::{Beginning, KeyWanted, Sending};
use super::stats::Counted;
use super::stats::ProducerStats;

/// What may wait to be sent. An encoder's rate control keeps pictures far below this.
const LIMITS: Limits = Limits { bytes: 8 << 20, wait: Some(Duration::from_secs(2)) };
/// The shortest time from a requested key frame to the next.
const KEY_SPACING_NS: u64 = 150_000_000;

/// The stream of an encoder, which carries its parameter sets in band.
pub(super) struct Encoded;

impl Beginning for Encoded {
    fn configuration(&self) -> &[u8] {
        &[]
    }

    fn refusal(&self) -> Option<String> {
        None
    }
}

type Encodings = PacketQueue<Packet, Encoded>;

/// Takes references to decoded frames. Owns the threads of encoder and sender, which end with it.
pub struct Encode(Arc<Shared>);

/// Starts the threads of an [`Encode`], which takes no frame before.
pub struct EncodeStart(Arc<Shared>);

struct Shared {
    camera: CameraId,
    producer: Producer,
    endpoint: Arc<EndpointSlot>,
    frames: Arc<Frames>,
    queue: Arc<Encodings>,
    rate: Arc<StreamRate>,
    stats: Arc<ProducerStats>,
    keys: Arc<KeyWanted>,
    /// Whether frames are taken.
    running: AtomicBool,
    threads: Mutex<Threads>,
    /// Taken by its thread: if the thread can't be started, it is not lost.
    encoding: Arc<Mutex<Option<(Encoding, Parker)>>>,
}

#[derive(Default)]
struct Threads {
    sender: Option<JoinHandle<()>>,
    encoder: Option<JoinHandle<()>>,
    /// The frames' source is gone.
    closed: bool,
}

/// Which stream of the camera is decoded, and the frame rate that it states.
#[derive(Debug)]
struct StreamRate {
    stream: AtomicU64,
    fps: Mutex<Option<Fraction>>,
}

impl Encode {
    /// Sends through the endpoint that is in the slot when the threads start.
    pub fn new(
        camera: &CameraId,
        producer: &Producer,
        endpoint: &Arc<EndpointSlot>,
        stats: &Arc<ProducerStats>,
    ) -> (Self, EncodeStart) {
        let parker = Parker::new();
        let frames = Arc::new(Frames::new(&parker));
        let queue = Arc::new(Encodings::new(LIMITS));
        let rate = Arc::new(StreamRate { stream: AtomicU64::new(0), fps: Mutex::default() });
        let keys = Arc::new(KeyWanted::default());
        let encoding = Encoding {
            producer: producer.clone(),
            frames: Arc::clone(&frames),
            queue: Arc::clone(&queue),
            rate: Arc::clone(&rate),
            stats: Arc::clone(stats),
            wanted: Arc::clone(&keys),
            keys: key_frames(producer),
            encoder: None,
            stream: 0,
            pts_ns: 0,
        };
        let shared = Arc::new(Shared {
            camera: camera.clone(),
            producer: producer.clone(),
            endpoint: Arc::clone(endpoint),
            frames,
            queue,
            rate,
            stats: Arc::clone(stats),
            keys,
            running: AtomicBool::new(false),
            threads: Mutex::default(),
            encoding: Arc::new(Mutex::new(Some((encoding, parker)))),
        });
        (Self(Arc::clone(&shared)), EncodeStart(shared))
    }
}

impl LatePart for EncodeStart {
    fn start(&mut self) -> io::Result<()> {
        let shared = &self.0;
        let mut threads = shared.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.closed {
            return Ok(());
        }
        if threads.sender.is_none() {
            let endpoint = shared.endpoint.get()?;
            let wakeup = Arc::new(Wakeup::new()?);
            let (queue, stats) = (Arc::clone(&shared.queue), Arc::clone(&shared.stats));
            let keys = Some(Arc::clone(&shared.keys));
            let (camera, producer) = (&shared.camera, &shared.producer);
            let sending = Sending::new(camera, producer, endpoint, queue, stats, wakeup, keys);
            threads.sender = Some(shared.spawn("producer", move || sending.run())?);
        }
        if threads.encoder.is_none() {
            let encoding = Arc::clone(&shared.encoding);
            let run = move || {
                let taken = encoding.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some((encoding, parker)) = taken {
                    encoding.run(&parker);
                }
            };
            threads.encoder = Some(shared.spawn("encode", run)?);
        }
        shared.running.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Shared {
    fn spawn(
        &self,
        job: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let (stats, frames, queue) =
            (Arc::clone(&self.stats), Arc::clone(&self.frames), Arc::clone(&self.queue));
        let panicked = move || {
            stats.panicked();
            frames.close();
            frames.release_waiting();
            queue.close();
        };
        spawn(job, &self.camera, run, panicked)
    }
}

impl FrameSink for Encode {
    fn begin(&mut self, stream: &StreamInfo, _: DecoderKind) {
        *self.0.rate.fps.lock().unwrap_or_else(PoisonError::into_inner) = stream.fps;
        self.0.rate.stream.fetch_add(1, Ordering::Release);
    }

    fn take(&mut self, frame: &mut Frame) {
        if !self.0.running.load(Ordering::Relaxed) {
            return self.0.stats.lose(NotProduced::NotRunning, 1);
        }
        let stream = self.0.rate.stream.load(Ordering::Relaxed);
        if !self.0.frames.share(frame, stream) {
            self.0.stats.lose(NotProduced::Encoder, 1);
        }
    }
}

impl Drop for Encode {
    fn drop(&mut self) {
        self.0.frames.close();
        self.0.queue.close();
        let mut threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.closed = true;
        let ending = [threads.encoder.take(), threads.sender.take()];
        drop(threads);
        for thread in ending.into_iter().flatten() {
            // A panic was caught and logged in the thread itself.
            let _ = thread.join();
        }
    }
}

/// The encoder's thread.
struct Encoding {
    producer: Producer,
    frames: Arc<Frames>,
    queue: Arc<Encodings>,
    rate: Arc<StreamRate>,
    stats: Arc<ProducerStats>,
    wanted: Arc<KeyWanted>,
    keys: KeyFrames,
    encoder: Option<Open>,
    /// The stream of the last frame, and that frame's time.
    stream: u64,
    pts_ns: i64,
}

/// An encoder, and the size of frames that it was opened for.
struct Open {
    encoder: Box<dyn Encoder>,
    for_size: (u32, u32),
}

impl Encoding {
    fn run(mut self, parker: &Parker) {
        while let Some(Numbered { mut frame, stream }) = self.frames.next(parker) {
            if stream != self.stream {
                self.stream = stream;
                // Its timeline differs, which an encoder would take for a pause or a step back.
                self.encoder = None;
                let _ = self.queue.push_stream(Encoded);
            }
            if let Err(error) = self.encode(&mut frame) {
                self.stats.lose(NotProduced::NotEncoded, 1);
                self.report(&error);
            }
            self.frames.done(frame);
        }
        self.frames.release_waiting();
    }

    fn encode(&mut self, frame: &mut Frame) -> Result<(), EncodeError> {
        let now_ns = monotonic_ns();
        // A camera's first pictures may have no PTS.
        let pts_ns = frame.pts_ns().unwrap_or(self.pts_ns);
        self.pts_ns = pts_ns;
        if self.wanted.take() {
            self.keys.want();
        }
        let size = (frame.width(), frame.height());
        let open = match self.encoder.take().filter(|open| open.for_size == size) {
            Some(open) => self.encoder.insert(open),
            None => {
                self.keys = key_frames(&self.producer);
                let open = self.open(size)?;
                self.encoder.insert(open)
            }
        };
        let as_key = self.keys.is_due(pts_ns, now_ns);
        let packet = open.encoder.encode(frame, as_key)?;
        if packet.is_key() {
            self.keys.made(pts_ns, now_ns);
        }
        self.stats.count(Counted::Encoded, 1);
        let pushed = self.queue.push(packet);
        self.stats.dropped(pushed);
        if pushed.overload > 0 {
            // Queued pictures were dropped; viewers go on with the next key frame.
            self.keys.want();
        }
        Ok(())
    }

    fn open(&self, size: (u32, u32)) -> Result<Open, EncodeError> {
        let Producer { max_width, max_height, bitrate_kbit, .. } = self.producer;
        let fps = *self.rate.fps.lock().unwrap_or_else(PoisonError::into_inner);
        let out = fit(size, (max_width, max_height));
        let request = EncoderRequest::new(out, fps, bitrate_kbit);
        let encoder = open_x264(&request)?;
        let kbit = request.bit_rate / 1000;
        let words = format!("{} {}x{} {kbit} kbit/s", encoder.name(), out.0, out.1);
        tracing::info!("encoding: {words}");
        self.stats.set_encoder(words);
        Ok(Open { encoder, for_size: size })
    }

    fn report(&mut self, error: &EncodeError) {
        if error.is_fatal() {
            self.encoder = None;
            tracing::warn!("{error}");
        } else {
            tracing::debug!("{error}");
        }
        self.stats.set_state(ProducerState::Refused, error.to_string());
    }
}

fn key_frames(producer: &Producer) -> KeyFrames {
    let interval_ns = u64::try_from(producer.key_interval.as_nanos()).unwrap_or(u64::MAX);
    KeyFrames::new(interval_ns, KEY_SPACING_NS)
}
