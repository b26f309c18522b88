//! Opens a camera's decoder, on the GPU or the processor, and reports why it is not a better one.

use std::sync::Arc;

use vas_config::{Camera, Decode, GpuChoice};
use vas_media::{DecodeError, Decoder, DecoderKind, GpuError, StreamInfo};
use vas_status::{DecodedBy, DecoderReport};

use super::ladder::{Ladder, Next, Rung};
use crate::gpus::{GpuAssignment, Gpus, Turn};

/// Threads of a software decoder. One: more would hold frames back, and there are many cameras.
const DECODER_THREADS: u32 = 1;

/// A camera's decoders: what the config allows, and the GPU in use.
#[derive(Debug)]
pub struct Decoders {
    choice: GpuChoice,
    gpus: Arc<Gpus>,
    /// Pictures that the sinks may hold at a time.
    held: u32,
    ladder: Ladder,
    /// Kept while the camera rests, and until its GPU fails.
    assigned: Option<GpuAssignment>,
    /// Held until it is known whether the GPU decodes.
    turn: Option<Turn>,
    /// Why no GPU decodes, as last logged.
    why: Option<GpuError>,
}

/// Why there is no decoder.
pub(super) enum NoDecoder {
    /// Only a GPU may decode, and none does. The reason is in [`Decoders::why`] and already logged.
    OnlyGpu,
    /// FFmpeg can decode the stream nowhere.
    Failed(DecodeError),
}

/// A decoder, and whether it is meant to decode on a GPU.
pub(super) struct Opened {
    pub(super) decoder: Box<dyn Decoder>,
    pub(super) on_gpu: bool,
}

impl Decoders {
    /// `held` is how many pictures the sinks may hold at a time.
    pub fn new(camera: &Camera, gpus: Arc<Gpus>, held: u32) -> Self {
        let ladder = Ladder::new(camera.decode);
        Self { choice: camera.gpu, gpus, held, ladder, assigned: None, turn: None, why: None }
    }

    /// Another stream begins.
    pub(super) fn stream_begins(&mut self) {
        self.ladder.stream_begins();
    }

    /// Opens the best decoder available for the stream.
    ///
    /// # Errors
    /// [`NoDecoder`].
    pub(super) fn open(&mut self, stream: &StreamInfo, now_ns: u64) -> Result<Opened, NoDecoder> {
        self.turn = None;
        if self.ladder.rung(now_ns) == Rung::Gpu {
            match self.open_on_gpu(stream, now_ns) {
                Ok(opened) => return Ok(opened),
                Err(DecodeError::Gpu(why)) => self.failed(&why, now_ns),
                Err(other) => return Err(NoDecoder::Failed(other)),
            }
        }
        if self.ladder.rung(now_ns) == Rung::Nothing {
            return Err(NoDecoder::OnlyGpu);
        }
        vas_media::open_software(stream, DECODER_THREADS)
            .map(|decoder| Opened { decoder, on_gpu: false })
            .map_err(NoDecoder::Failed)
    }

    /// At a key frame: replaces a decoder on the processor with one on a GPU, when a retry is due
    /// and no other camera is in the middle of one.
    pub(super) fn climb(&mut self, stream: &StreamInfo, now_ns: u64) -> Option<Opened> {
        if self.assigned.is_some() || self.ladder.rung(now_ns) != Rung::Gpu {
            return None;
        }
        match self.gpus.turn(self.choice, now_ns) {
            Ok(Some(turn)) => self.turn = Some(turn),
            Ok(None) => return None,
            Err(why) => {
                self.failed(&why, now_ns);
                return None;
            }
        }
        match self.open_on_gpu(stream, now_ns) {
            Ok(opened) => Some(opened),
            Err(error) => {
                self.turn = None;
                if let DecodeError::Gpu(why) = error {
                    self.failed(&why, now_ns);
                }
                None
            }
        }
    }

    fn open_on_gpu(&mut self, stream: &StreamInfo, now_ns: u64) -> Result<Opened, DecodeError> {
        // A stream that no GPU decodes must not load a driver.
        vas_media::nvdec_takes(stream)?;
        let kept = self.assigned.take().map(|assignment| (assignment.device(now_ns), assignment));
        let (assignment, device) = match kept {
            Some((Ok(device), assignment)) => (assignment, device),
            _ => self.gpus.assign(self.choice, now_ns)?,
        };
        let opened = vas_media::open_nvdec(stream, &device, self.held);
        let decoder = opened.inspect_err(|error| {
            if let DecodeError::Gpu(why @ GpuError::DeviceLost { .. }) = error {
                assignment.failed(why, now_ns);
            }
        })?;
        self.assigned = Some(assignment);
        Ok(Opened { decoder, on_gpu: true })
    }

    /// The GPU delivered a picture.
    pub(super) fn decodes(&mut self, now_ns: u64) {
        self.ladder.decodes(now_ns);
        self.turn = None;
        if let Some(assignment) = &self.assigned {
            assignment.works();
            if self.why.take().is_some() {
                tracing::info!("decoding on GPU {} again", assignment.gpu());
            }
        }
    }

    /// A decoder on the GPU failed, fell back to the processor, or is no longer usable.
    pub(super) fn fell(&mut self, why: &GpuError, now_ns: u64) {
        let assignment = self.assigned.take();
        self.turn = None;
        match (why, assignment) {
            (GpuError::DeviceLost { .. }, Some(assignment)) => {
                assignment.failed(why, now_ns);
                let next = self.ladder.lost();
                self.tell(why, next);
            }
            _ => self.failed(why, now_ns),
        }
    }

    /// The decode thread panicked while a GPU decoded, `on_gpu`, or not.
    pub(super) fn panicked(&mut self, words: &str, on_gpu: bool, now_ns: u64) {
        self.turn = None;
        if let Some(assignment) = self.assigned.as_ref().filter(|_| on_gpu) {
            let cause = format!("internal error: {words}");
            self.fell(&GpuError::Failed { ordinal: assignment.gpu(), cause }, now_ns);
        }
    }

    fn failed(&mut self, why: &GpuError, now_ns: u64) {
        let next = self.ladder.failed(why, now_ns);
        self.tell(why, next);
    }

    fn tell(&mut self, why: &GpuError, next: Next) {
        let previous = self.why.replace(why.clone());
        if previous.is_some_and(|previous| is_same(&previous, why)) {
            return;
        }
        let words = words(why);
        let next = match (self.ladder.decode(), next) {
            (Decode::Nvdec, Next::NotForThisStream) => "nothing decodes this stream".to_owned(),
            (_, Next::NotForThisStream) => "the processor decodes this stream".to_owned(),
            (_, Next::AnotherGpu) => "another GPU is tried at the next key frame".to_owned(),
            (decode, Next::AgainAfter(wait_ns)) => {
                let seconds = wait_ns / 1_000_000_000;
                let until = match decode {
                    Decode::Nvdec => "nothing decodes until then",
                    _ => "until then the processor decodes",
                };
                format!("next try in {seconds} s, then less often; {until}")
            }
        };
        match why {
            // Most hosts have no GPU, which is no fault.
            GpuError::NoLibrary { library: "libcuda.so.1" } | GpuError::NoDevice { .. }
                if self.ladder.decode() == Decode::Auto =>
            {
                if self.gpus.first_to_miss_one() {
                    tracing::info!("no GPU decodes: {words}; the processor decodes");
                }
            }
            GpuError::Unsupported { .. } if self.ladder.decode() == Decode::Auto => {
                tracing::info!("{words}; {next}");
            }
            _ => tracing::warn!("{words}; {next}"),
        }
    }

    /// What decodes, for the status.
    pub(super) fn report(&self, decoder: &dyn Decoder) -> DecoderReport {
        let on_gpu = decoder.kind() == DecoderKind::Nvdec;
        let gpu = self.assigned.as_ref().filter(|_| on_gpu).map(GpuAssignment::gpu);
        let why = self.why().filter(|_| !on_gpu);
        DecoderReport {
            kind: decoded_by(decoder.kind()),
            gpu: gpu.map(|gpu| gpu.to_string()),
            gpu_bytes: decoder.surface_memory().map(|memory| memory.bytes),
            why: why.as_deref().map(vas_media::redact),
        }
    }

    /// Whether only a GPU may decode.
    pub(super) fn gpu_only(&self) -> bool {
        self.ladder.decode() == Decode::Nvdec
    }

    /// Why no GPU decodes.
    pub(super) fn why(&self) -> Option<String> {
        self.why.as_ref().map(words)
    }
}

/// Whether the log would repeat itself.
fn is_same(previous: &GpuError, why: &GpuError) -> bool {
    match (previous, why) {
        // The free memory changes all the time.
        (GpuError::NoMemory { ordinal: a, .. }, GpuError::NoMemory { ordinal: b, .. }) => a == b,
        _ => previous == why,
    }
}

/// The error, and what to do about it.
fn words(why: &GpuError) -> String {
    format!("{why}{}", hint(why))
}

fn decoded_by(kind: DecoderKind) -> DecodedBy {
    match kind {
        DecoderKind::Nvdec => DecodedBy::Nvdec,
        DecoderKind::Vaapi => DecodedBy::Vaapi,
        _ => DecodedBy::Software,
    }
}

/// What to do about it, where the error itself does not say.
fn hint(why: &GpuError) -> &'static str {
    match why {
        GpuError::NoDevice { .. } => {
            "; check that nvidia-smi lists one, and that the container has access to it"
        }
        GpuError::NoSuchDevice { .. } => "; set `gpu` to one of them or to \"auto\"",
        GpuError::Unsupported { .. } => "; NVDEC takes H.264 and H.265 in 8 bits, 4:2:0",
        GpuError::NoMemory { .. } | GpuError::SessionsUsedUp { .. } => {
            "; give it fewer cameras, or some of them decode = \"software\""
        }
        GpuError::Failed { .. } | GpuError::Failing { .. } => {
            "; the kernel's log may say more (NVRM, Xid)"
        }
        _ => "",
    }
}
