//! Re-encodes the camera's decoded frames: for H.265 and MJPEG, and for pictures that are too
//! large.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_utils::sync::Parker;
use vas_config::Producer;
use vas_frame::CameraId;
use vas_media::{
    DecoderKind, EncodeError, Encoder, EncoderRequest, Fraction, Frame, Packet, StreamInfo, fit,
    monotonic_ns, open_x264,
};
use vas_pipeline::{BranchStats as _, FrameSink, Limits, PacketQueue, Wakeup, spawn};
use vas_rtp::KeyFrames;
use vas_status::{NotProduced, ProducerState};

use super::endpoint::RtpEndpoint;
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
pub struct Encode {
    frames: Arc<Frames>,
    queue: Arc<Encodings>,
    rate: Arc<Rate>,
    stats: Arc<ProducerStats>,
    threads: Vec<JoinHandle<()>>,
}

/// Which stream of the camera is decoded, and the frame rate that it states.
#[derive(Debug)]
struct Rate {
    stream: AtomicU64,
    fps: Mutex<Option<Fraction>>,
}

impl Encode {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no thread or file descriptor to give.
    pub fn start(
        camera: &CameraId,
        producer: &Producer,
        endpoint: RtpEndpoint,
        stats: &Arc<ProducerStats>,
    ) -> io::Result<Self> {
        let parker = Parker::new();
        let mut this = Self {
            frames: Arc::new(Frames::new(&parker)),
            queue: Arc::new(Encodings::new(LIMITS)),
            rate: Arc::new(Rate { stream: AtomicU64::new(0), fps: Mutex::default() }),
            stats: Arc::clone(stats),
            threads: Vec::new(),
        };
        let keys = Arc::new(KeyWanted::default());
        let (queue, wakeup) = (Arc::clone(&this.queue), Arc::new(Wakeup::new()?));
        let sending = Sending::new(
            camera,
            producer,
            endpoint,
            queue,
            Arc::clone(stats),
            wakeup,
            Some(Arc::clone(&keys)),
        );
        this.spawn("producer", camera, move || sending.run())?;
        let encoding = Encoding {
            producer: producer.clone(),
            frames: Arc::clone(&this.frames),
            queue: Arc::clone(&this.queue),
            rate: Arc::clone(&this.rate),
            stats: Arc::clone(stats),
            wanted: keys,
            keys: key_frames(producer),
            encoder: None,
            stream: 0,
            pts_ns: 0,
        };
        this.spawn("encode", camera, move || encoding.run(&parker))?;
        Ok(this)
    }

    fn spawn(
        &mut self,
        job: &'static str,
        camera: &CameraId,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let (stats, frames, queue) =
            (Arc::clone(&self.stats), Arc::clone(&self.frames), Arc::clone(&self.queue));
        let panicked = move || {
            stats.panicked();
            frames.close();
            queue.close();
        };
        self.threads.push(spawn(job, camera, run, panicked)?);
        Ok(())
    }
}

impl FrameSink for Encode {
    fn begin(&mut self, stream: &StreamInfo, _: DecoderKind) {
        *self.rate.fps.lock().unwrap_or_else(PoisonError::into_inner) = stream.fps;
        self.rate.stream.fetch_add(1, Ordering::Release);
    }

    fn take(&mut self, frame: &mut Frame) {
        let stream = self.rate.stream.load(Ordering::Relaxed);
        if !self.frames.share(frame, stream) {
            self.stats.lose(NotProduced::Encoder, 1);
        }
    }
}

impl Drop for Encode {
    fn drop(&mut self) {
        self.frames.close();
        self.queue.close();
        for thread in self.threads.drain(..) {
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
    rate: Arc<Rate>,
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
