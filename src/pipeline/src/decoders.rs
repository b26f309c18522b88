//! Opens a camera's decoder, on the GPU or the processor, and reports why it is not a better one.

use std::sync::Arc;

use vas_config::{Camera, Decode, GpuChoice, Role, Roles};
use vas_media::{
    Codec, CudaDevice, DecodeError, DecodeFrames, Decoder, DecoderKind, GpuError, Room, StreamInfo,
    SurfaceMemory, VaapiError,
};
use vas_status::{DecodedBy, DecoderReport};

use super::ladder::{Ladder, Next, Rung};
use super::vaapi::VaapiDecoders;
use crate::gpus::{GpuAssignment, Gpus, Load, LoadShare, Turn};
use vas_surfaces::{Coding, nv12_bytes};

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
    /// Counts the camera's load there, while a decoder is open.
    load: Option<LoadShare>,
    /// Surfaces that a decoder of this stream asked for.
    surfaces: Option<SurfaceMemory>,
    /// Which pictures are decoded.
    frames: DecodeFrames,
    /// Held until it is known whether the GPU decodes.
    turn: Option<Turn>,
    /// Why no GPU decodes, as last logged.
    why: Option<GpuError>,
    /// Frames are scaled for the export: on the GPU that decodes them.
    scales: bool,
    /// What the config asks for.
    decode: Decode,
    /// Below NVDEC on the ladder; `None` where the config rules it out.
    vaapi: Option<VaapiDecoders>,
    /// Whether VA-API opened the decoder in use, and NVDEC did not.
    on_vaapi: bool,
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
    pub(super) on_vaapi: bool,
}

impl Decoders {
    /// Of the camera's input with these roles; `held` is how many pictures the sinks may hold at a time.
    pub fn new(camera: &Camera, roles: Roles, gpus: Arc<Gpus>, held: u32) -> Self {
        let decode = camera.decode;
        let scales = roles.has(Role::Export) && camera.scales_export();
        let by_vaapi = match decode {
            // A number is one of NVIDIA's GPUs.
            Decode::Auto => !matches!(camera.gpu, GpuChoice::Number(_)),
            Decode::Vaapi => true,
            _ => false,
        };
        let vaapi = by_vaapi
            .then(|| VaapiDecoders::new(camera.id.clone(), decode, camera.gpu, gpus.nodes(), held));
        // A render node is no GPU of NVDEC's.
        let by_nvdec = decode != Decode::Vaapi && !matches!(camera.gpu, GpuChoice::Node(_));
        let ladder = Ladder::new(if by_nvdec { decode } else { Decode::Software });
        Self {
            choice: camera.gpu,
            gpus,
            held,
            ladder,
            assigned: None,
            load: None,
            surfaces: None,
            frames: camera.decode_frames,
            turn: None,
            why: None,
            scales,
            decode,
            vaapi,
            on_vaapi: false,
        }
    }

    /// Another stream begins.
    pub(super) fn stream_begins(&mut self) {
        self.ladder.stream_begins();
        self.surfaces = None;
        if let Some(vaapi) = &mut self.vaapi {
            vaapi.stream_begins();
        }
    }

    /// Opens the best decoder available for the stream.
    ///
    /// # Errors
    /// [`NoDecoder`].
    pub(super) fn open(&mut self, stream: &StreamInfo, now_ns: u64) -> Result<Opened, NoDecoder> {
        self.turn = None;
        self.on_vaapi = false;
        if self.ladder.rung(now_ns) == Rung::Gpu {
            match self.open_on_gpu(stream, now_ns) {
                Ok(opened) => return Ok(opened),
                Err(DecodeError::Gpu(why)) => self.failed(&why, now_ns),
                Err(other) => return Err(NoDecoder::Failed(other)),
            }
        }
        if let Some(vaapi) = &mut self.vaapi
            && let Some(opened) = vaapi.open(stream, now_ns).map_err(NoDecoder::Failed)?
        {
            return Ok(opened);
        }
        if self.gpu_only() {
            return Err(NoDecoder::OnlyGpu);
        }
        vas_media::open_software(stream, DECODER_THREADS)
            .map(|decoder| Opened { decoder, on_gpu: false, on_vaapi: false })
            .map_err(NoDecoder::Failed)
    }

    /// At a key frame: replaces a decoder on the processor with one on a GPU, or one of VA-API with one of NVDEC, when a
    /// retry is due and no other camera is in the middle of one. The old decoder's reports are still its own until
    /// [`begins`](Self::begins).
    pub(super) fn climb(
        &mut self,
        stream: &StreamInfo,
        on_gpu: bool,
        now_ns: u64,
    ) -> Option<Opened> {
        if on_gpu && !self.on_vaapi {
            return None;
        }
        if let Some(opened) = self.climb_to_nvdec(stream, now_ns) {
            return Some(opened);
        }
        self.vaapi.as_mut().filter(|_| !on_gpu)?.climb(stream, now_ns)
    }

    /// This decoder is the one in use from now on.
    pub(super) fn begins(&mut self, opened: &Opened) {
        self.on_vaapi = opened.on_vaapi;
        let on_nvdec = opened.on_gpu && !opened.on_vaapi;
        if let Some(vaapi) = self.vaapi.as_mut().filter(|_| on_nvdec) {
            vaapi.leave();
        }
    }

    fn climb_to_nvdec(&mut self, stream: &StreamInfo, now_ns: u64) -> Option<Opened> {
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

    /// Opens a decoder on the GPU that the camera has, or on another one that takes it.
    fn open_on_gpu(&mut self, stream: &StreamInfo, now_ns: u64) -> Result<Opened, DecodeError> {
        // A stream that no GPU decodes must not load a driver.
        vas_media::nvdec_takes(stream)?;
        self.load = None;
        let mut refused = Vec::new();
        let mut why: Option<GpuError> = None;
        let mut kept = self.assigned.take();
        loop {
            let kept = kept.take().map(|assignment| (assignment.device(now_ns), assignment));
            let (assignment, device) = match kept {
                Some((Ok(device), assignment)) => (assignment, device),
                _ => {
                    let other = self.gpus.assign(self.choice, &refused, now_ns);
                    other.map_err(|none| why.take().unwrap_or(none))?
                }
            };
            match self.open_on(&assignment, &device, stream) {
                Ok((decoder, load)) => {
                    (self.assigned, self.load) = (Some(assignment), load);
                    return Ok(Opened { decoder, on_gpu: true, on_vaapi: false });
                }
                Err(DecodeError::Gpu(error)) => {
                    if matches!(error, GpuError::DeviceLost { .. }) {
                        assignment.failed(&error, now_ns);
                    }
                    refused.push(assignment.gpu());
                    weigh(&mut why, error);
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Admits the stream to a GPU, and opens its decoder.
    fn open_on(
        &self,
        assignment: &GpuAssignment,
        device: &Arc<CudaDevice>,
        stream: &StreamInfo,
    ) -> Result<(Box<dyn Decoder>, Option<LoadShare>), DecodeError> {
        if self.scales {
            device.check_kernels()?;
        }
        if let Some(need) = self.surfaces.or_else(|| self.least_surfaces(stream)) {
            // No larger than the camera's own, but for bars.
            let converted = if self.scales { nv12_bytes(need.size) } else { 0 };
            // The processor decodes while the camera climbs, and admission must not keep it waiting either.
            let room = if self.turn.is_some() { Room::Now } else { Room::OnceSettled };
            device.has_room(need, converted, room)?;
        }
        // Key frames alone are a small part of a stream, and how small is unknown.
        let all = self.frames != DecodeFrames::Key;
        let sharers = assignment.sharers();
        let load = Load::of(stream, device.name(), device.nvdec(), sharers).filter(|_| all);
        let load = load.map(|load| assignment.take_load(&load)).transpose()?;
        Ok((vas_media::open_nvdec(stream, device, self.held)?, load))
    }

    /// What a decoder of this stream needs at least, as long as none has asked for more.
    fn least_surfaces(&self, stream: &StreamInfo) -> Option<SurfaceMemory> {
        let coding = match stream.codec {
            Codec::H264 => Coding::H264,
            Codec::H265 => Coding::H265,
            _ => return None,
        };
        Some(coding.least_surfaces(stream.size?, self.held))
    }

    /// No GPU decodes, since there is no decoder or the processor does. Other cameras may retry one.
    pub(super) fn off_gpu(&mut self) {
        (self.load, self.turn) = (None, None);
        if let Some(vaapi) = &mut self.vaapi {
            vaapi.off_gpu();
        }
    }

    /// The VA-API side, while it decodes.
    fn vaapi_in_use(&mut self) -> Option<&mut VaapiDecoders> {
        self.vaapi.as_mut().filter(|_| self.on_vaapi)
    }

    /// The GPU delivered a picture.
    pub(super) fn decodes(&mut self, now_ns: u64) {
        if let Some(vaapi) = self.vaapi_in_use() {
            return vaapi.decodes(now_ns);
        }
        self.ladder.decodes(now_ns);
        self.turn = None;
        if let Some(assignment) = &self.assigned {
            assignment.works();
            if self.why.take().is_some() {
                tracing::info!("decoding on GPU {} again", assignment.gpu());
            }
        }
    }

    /// A decoder on the GPU, which asked for these surfaces, failed, fell back to the processor, or is no longer usable.
    pub(super) fn fell(&mut self, why: &GpuError, surfaces: Option<SurfaceMemory>, now_ns: u64) {
        if let Some(vaapi) = self.vaapi_in_use() {
            return vaapi.fell(why, now_ns);
        }
        let assignment = self.assigned.take();
        self.load = None;
        self.surfaces = surfaces.or(self.surfaces);
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
        if let Some(vaapi) = self.vaapi_in_use().filter(|_| on_gpu) {
            return vaapi.panicked(words, now_ns);
        }
        if let Some(assignment) = self.assigned.as_ref().filter(|_| on_gpu) {
            let cause = format!("internal error: {words}");
            self.fell(&GpuError::Failed { ordinal: assignment.gpu(), cause }, None, now_ns);
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
        let below = self.below();
        let next = next_words(next, below);
        match why {
            // Most hosts have no GPU, which is no fault.
            GpuError::NoLibrary { library: "libcuda.so.1" } | GpuError::NoDevice { .. }
                if self.ladder.decode() == Decode::Auto =>
            {
                if self.gpus.first_to_miss_one() {
                    tracing::info!("no NVIDIA GPU decodes: {words}; {below} decodes");
                }
            }
            GpuError::Unsupported { .. } if self.ladder.decode() == Decode::Auto => {
                tracing::info!("{words}; {next}");
            }
            _ => tracing::warn!("{words}; {next}"),
        }
    }

    /// What decodes where NVDEC does not.
    fn below(&self) -> &'static str {
        match self.decode {
            Decode::Nvdec => "nothing",
            _ if self.vaapi.is_some() => "VA-API or the processor",
            _ => "the processor",
        }
    }

    /// What decodes, for the status.
    pub(super) fn report(&self, decoder: &dyn Decoder) -> DecoderReport {
        let gpu = match decoder.kind() {
            DecoderKind::Nvdec => self.assigned.as_ref().map(|it| it.gpu().to_string()),
            DecoderKind::Vaapi => {
                self.vaapi.as_ref().and_then(VaapiDecoders::node).map(ToString::to_string)
            }
            _ => None,
        };
        let why = self.why().filter(|_| decoder.kind() == DecoderKind::Software);
        DecoderReport {
            kind: decoded_by(decoder.kind()),
            gpu,
            gpu_bytes: decoder
                .surface_memory()
                .filter(|_| decoder.kind() != DecoderKind::Software)
                .map(|memory| memory.bytes),
            why: why.as_deref().map(vas_media::redact),
        }
    }

    /// Whether only a GPU may decode.
    pub(super) fn gpu_only(&self) -> bool {
        matches!(self.decode, Decode::Nvdec | Decode::Vaapi)
    }

    /// Why no GPU decodes.
    pub(super) fn why(&self) -> Option<String> {
        let vaapi = self.vaapi.as_ref().and_then(VaapiDecoders::why);
        // With "auto", a kind of GPU that this host does not have is no reason if it has another.
        let reason = match (&self.why, vaapi) {
            (Some(why), Some(vaapi)) if is_absent(vaapi) => words(why),
            (Some(why), Some(vaapi)) if is_absent(why) => vaapi.to_string(),
            (Some(why), Some(vaapi)) => format!("{}; {vaapi}", words(why)),
            (Some(why), None) => words(why),
            (None, Some(vaapi)) => vaapi.to_string(),
            (None, None) => return None,
        };
        Some(reason)
    }
}

/// Of several GPUs' refusals, keeps the one to act on: what may change while the stream stays the same is worth another
/// try later.
fn weigh(why: &mut Option<GpuError>, error: GpuError) {
    if why.as_ref().is_none_or(GpuError::is_of_stream) {
        *why = Some(error);
    }
}

/// Whether the host has no GPU of this kind.
fn is_absent(why: &GpuError) -> bool {
    matches!(
        why,
        GpuError::NoLibrary { library: "libcuda.so.1" }
            | GpuError::NoDevice { .. }
            | GpuError::Vaapi(VaapiError::NoNode)
    )
}

/// Whether the log would repeat itself.
fn is_same(previous: &GpuError, why: &GpuError) -> bool {
    match (previous, why) {
        // The free memory changes all the time.
        (GpuError::NoMemory { ordinal: a, .. }, GpuError::NoMemory { ordinal: b, .. })
        | (GpuError::Busy { ordinal: a, .. }, GpuError::Busy { ordinal: b, .. }) => a == b,
        _ => previous == why,
    }
}

/// What happens next, and what decodes until then.
fn next_words(next: Next, below: &str) -> String {
    match next {
        Next::NotForThisStream => format!("{below} decodes this stream"),
        Next::AnotherGpu => "another GPU is tried at the next key frame".to_owned(),
        Next::AgainAfter(wait_ns) => {
            let seconds = wait_ns / 1_000_000_000;
            format!("next try in {seconds} s, then less often; {below} decodes until then")
        }
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
        GpuError::Unsupported { .. } => "; NVDEC takes H.264 and H.265 in 8 or 10 bits, 4:2:0",
        GpuError::NoKernels { .. } => "; a newer driver may take the kernels",
        GpuError::NoMemory { .. } | GpuError::Busy { .. } | GpuError::SessionsUsedUp { .. } => {
            "; give it fewer cameras, or some of them decode = \"software\""
        }
        GpuError::Failed { .. } | GpuError::Failing { .. } => {
            "; the kernel's log may say more (NVRM, Xid)"
        }
        _ => "",
    }
}

#[cfg(test)]
pub(crate) mod tests;
