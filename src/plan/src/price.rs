//! What one camera takes.

use std::time::Duration;

use serde::Serialize;
use vas_frame::{Color, FrameRate, Geometry, HugePages, RingOptions};
use vas_gate::Rate;
use vas_scale::{ColorInfo, Plan as Scaled};
use vas_surfaces::{EXTRA_SURFACES, SurfaceMemory, vaapi_surfaces};

use crate::camera::{Camera, Codec, Decoder};
use crate::figures::{DESCRIPTORS, EXPORT_DESCRIPTORS, FULL_HD, MS, SCALE_OVER_COPY};
use crate::gpu::Gpu;

/// The rate of a camera whose stream states none, as for rings (`RingOptions::choose`).
const ASSUMED_FPS: f64 = 30.0;

/// The least and the most that something can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Span {
    /// At least.
    pub least: u64,
    /// At most.
    pub most: u64,
}

impl Span {
    fn of(value: u64) -> Self {
        Self { least: value, most: value }
    }
}

impl std::ops::Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { least: self.least + other.least, most: self.most + other.most }
    }
}

/// What one camera takes. Nothing of it is taken while nobody reads, unless `idle = "decode"`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Price {
    /// Width and height of exported frames; `None`: none are, or no slot can hold them.
    pub export_size: Option<(u32, u32)>,
    /// Slots of its ring.
    pub slots: u32,
    /// Bytes of `frame.data` and `frame.meta`: shared memory.
    pub ring_bytes: u64,
    /// Of these, the most that huge pages can back.
    pub huge_bytes: u64,
    /// Of these, pinned for a GPU.
    pub pinned_bytes: u64,
    /// What decodes.
    pub decoder: Decoder,
    /// Surfaces of its decoder on a GPU, those to decode to and those to output together.
    pub surfaces: Span,
    /// Bytes of device memory that they take.
    pub device_bytes: Span,
    /// Bytes of device memory for a converted picture: one that is scaled, or has 10 bits.
    pub scratch_bytes: Span,
    /// The part of one NVDEC engine that decodes it; `None`: no rate is published.
    pub engines: Option<f64>,
    /// Processors that it keeps busy; `None`: not measured.
    pub processors: Option<f64>,
    /// Bytes a second from the GPU to the host.
    pub link_bytes_s: u64,
    /// Bytes a second to the disk; `None`: the camera's bit rate is unknown.
    pub record_bytes_s: Option<u64>,
    /// Threads.
    pub threads: u32,
    /// File descriptors; `None`: not measured.
    pub descriptors: Option<u32>,
}

/// The settings that all rings share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingSettings {
    /// `[export] hold`.
    pub(crate) hold: Duration,
    /// `[export] slots`.
    pub(crate) slots: Option<u32>,
}

/// Frames of a camera that may be handed over and not yet published. It shortens leases and changes no size.
const IN_FLIGHT: u32 = EXTRA_SURFACES - 1;

impl Price {
    /// The price of a camera on a host with this GPU, or none.
    pub(crate) fn of(camera: &Camera, gpu: Option<&Gpu>, rings: RingSettings) -> Self {
        let decoder = camera.decoder(gpu.is_some());
        let ring = camera.exported.then(|| Ring::of(camera, rings)).flatten();
        let on_gpu = decoder == Decoder::Nvdec;
        let fps = camera.stream.fps.map_or(ASSUMED_FPS, per_second);
        let read_fps = camera.read_fps.map_or(fps, |rate| per_second(rate).min(fps));
        let (surfaces, device_bytes) = device(camera, decoder);
        let visible = ring.as_ref().map_or(0, |ring| ring.geometry.tight_bytes());
        Self {
            export_size: ring.as_ref().map(|ring| (ring.geometry.width(), ring.geometry.height())),
            slots: ring.as_ref().map_or(0, |ring| ring.slots),
            ring_bytes: ring.as_ref().map_or(0, Ring::bytes),
            huge_bytes: ring.as_ref().map_or(0, |ring| HugePages::at_most(ring.data_bytes())),
            pinned_bytes: ring.as_ref().filter(|_| on_gpu).map_or(0, Ring::data_bytes),
            decoder,
            surfaces,
            device_bytes,
            scratch_bytes: ring.as_ref().filter(|_| on_gpu).map_or(Span::default(), |ring| {
                let bytes = ring.geometry.picture_bytes();
                match camera.stream.codec {
                    _ if ring.scaled => Span::of(bytes),
                    // Cameras send 10 bits in H.265 alone.
                    Codec::H265 => Span { least: 0, most: bytes },
                    _ => Span::default(),
                }
            }),
            engines: engines(camera, decoder, gpu, fps),
            processors: processors(
                camera,
                decoder,
                fps,
                if ring.is_some() { read_fps } else { 0.0 },
            ),
            link_bytes_s: if on_gpu { (visible as f64 * read_fps) as u64 } else { 0 },
            record_bytes_s: if camera.recorded { camera.sent_bytes_s } else { Some(0) },
            threads: threads(camera, decoder),
            descriptors: descriptors(camera),
        }
    }
}

struct Ring {
    geometry: Geometry,
    slots: u32,
    /// Pictures do not fill its slots as they are.
    scaled: bool,
}

impl Ring {
    /// `None` if no slot can hold the pictures.
    fn of(camera: &Camera, settings: RingSettings) -> Option<Self> {
        let plan =
            Scaled::new(camera.stream.size, camera.export_size, ColorInfo::default()).ok()?;
        let output = plan.output();
        let geometry = Geometry::new(output.width, output.height, Color::default(), 8).ok()?;
        let rate = camera.stream.fps.map(|fps| FrameRate { num: fps.num(), den: fps.den() });
        let options = RingOptions::choose(rate, settings.hold, settings.slots, IN_FLIGHT);
        Some(Self { geometry, slots: options.slots, scaled: !plan.is_copy() })
    }

    fn data_bytes(&self) -> u64 {
        self.geometry.slot_stride() * u64::from(self.slots)
    }

    fn bytes(&self) -> u64 {
        self.geometry.ring_bytes(self.slots)
    }
}

/// Surfaces and their bytes.
fn device(camera: &Camera, decoder: Decoder) -> (Span, Span) {
    let Some(coding) = camera.stream.codec.coding() else { return Default::default() };
    let size = camera.stream.size;
    match decoder {
        Decoder::Nvdec => {}
        // The same number whatever the stream asks for.
        Decoder::Vaapi => {
            let count = vaapi_surfaces(false, camera.held());
            let bytes = |sample_bytes| {
                SurfaceMemory::of_vaapi(count, coding.coded(size), sample_bytes).bytes
            };
            let most = if camera.stream.codec == Codec::H265 { 2 } else { 1 };
            let bytes = match camera.gpu_bytes {
                Some(bytes) if bytes > 0 => Span::of(bytes),
                _ => Span { least: bytes(1), most: bytes(most) },
            };
            return (Span::of(count.into()), bytes);
        }
        _ => return Default::default(),
    }
    let least = coding.least_surfaces(size, camera.held());
    let most = coding.most_surfaces(size);
    let count = Span { least: 2 * u64::from(least.surfaces), most: 2 * u64::from(most.surfaces) };
    let bytes = Span { least: least.bytes, most: most.bytes };
    match camera.gpu_bytes {
        // What the open decoder has.
        Some(bytes) if bytes > 0 => {
            let one = SurfaceMemory::of(1, most.size).bytes / 2;
            (Span::of(bytes / one.max(1)), Span::of(bytes))
        }
        _ => (count, bytes),
    }
}

fn engines(camera: &Camera, decoder: Decoder, gpu: Option<&Gpu>, fps: f64) -> Option<f64> {
    if decoder != Decoder::Nvdec {
        return Some(0.0);
    }
    gpu?.load(&camera.stream.codec, camera.stream.size, fps)
}

fn processors(camera: &Camera, decoder: Decoder, fps: f64, copies: f64) -> Option<f64> {
    let decode = match (decoder, &camera.stream.codec) {
        (Decoder::None, _) => 0.0,
        (Decoder::Software, Codec::H264) => MS.decode_h264,
        _ => return None,
    };
    if camera.producer.is_some() || camera.other_inputs > 0 {
        return None;
    }
    let copy = MS.copy * if camera.is_scaled() { SCALE_OVER_COPY } else { 1.0 };
    let record = if camera.recorded { MS.record } else { 0.0 };
    let size = pixels(camera.stream.size);
    let ms = fps * ((decode + MS.receive) * size + record) + copies * copy * size;
    Some(ms / 1000.0)
}

/// `dem:`, `dec:`, `vaa:`, `rec:`, `pro:` and `enc:`.
fn threads(camera: &Camera, decoder: Decoder) -> u32 {
    let parts = [
        decoder != Decoder::None,
        decoder == Decoder::Vaapi,
        camera.recorded,
        camera.producer.is_some(),
        camera.encodes(),
    ];
    1 + camera.other_inputs + parts.into_iter().map(u32::from).sum::<u32>()
}

fn descriptors(camera: &Camera) -> Option<u32> {
    let measured = camera.producer.is_none() && camera.other_inputs == 0;
    measured.then(|| DESCRIPTORS + if camera.exported { EXPORT_DESCRIPTORS } else { 0 })
}

/// Pixels in pictures of 1920x1080.
pub(crate) fn pixels((width, height): (u32, u32)) -> f64 {
    f64::from(width) * f64::from(height) / FULL_HD
}

pub(crate) fn per_second(rate: Rate) -> f64 {
    f64::from(rate.num()) / f64::from(rate.den())
}
