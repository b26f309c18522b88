//! A camera's ring on a real tmpfs, fed by an engine on the simulated device.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use cudarc::driver::{CudaContext, CudaStream};
use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, FrameRate, Geometry, Notifier, Nv12Image,
    OpenRing, PublishMeta, Reader, RingOptions, RingWriter, monotonic_ns,
};
use vas_gpu::{
    Driver, Engine, GpuCopyQueue, Kernels, NotAdmitted, Outcome, Outcomes, Permit, Setup,
    StartError,
};

use vas_scale::Plan;

use crate::surface::{Shape, TestSurface, Visible};

pub(crate) const SLOTS: u32 = 8;
pub(crate) const IN_FLIGHT: u32 = 3;

/// Outcomes of frames, in the order of their reports.
#[derive(Default)]
pub(crate) struct Seen {
    outcomes: Mutex<Vec<(u64, Outcome)>>,
    more: Condvar,
}

impl Outcomes for Seen {
    fn settled(&self, meta: &PublishMeta, outcome: Outcome) {
        self.outcomes.lock().unwrap().push((meta.frame_id, outcome));
        self.more.notify_all();
    }
}

impl Seen {
    /// The first `count` outcomes.
    pub(crate) fn wait(&self, count: usize) -> Vec<(u64, Outcome)> {
        let outcomes = self.outcomes.lock().unwrap();
        self.more.wait_while(outcomes, |seen| seen.len() < count).unwrap().clone()
    }

    pub(crate) fn so_far(&self) -> Vec<(u64, Outcome)> {
        self.outcomes.lock().unwrap().clone()
    }
}

/// A device as a decoder has it: context and stream.
pub(crate) struct Device {
    pub(crate) context: Arc<CudaContext>,
    decode_stream: Arc<CudaStream>,
    kernels: Arc<Mutex<Option<Arc<Kernels>>>>,
    pub(crate) lost: Arc<AtomicU32>,
    /// Reports of panics.
    pub(crate) panics: Arc<Mutex<Vec<String>>>,
}

impl Device {
    pub(crate) fn open() -> Self {
        Self::open_number(0)
    }

    /// Makes its context current.
    pub(crate) fn open_number(number: usize) -> Self {
        Driver::probe().unwrap();
        let context = CudaContext::new(number).unwrap();
        let decode_stream = context.new_stream().unwrap();
        Self {
            context,
            decode_stream,
            kernels: Arc::default(),
            lost: Arc::default(),
            panics: Arc::default(),
        }
    }

    /// A surface whose picture the decode stream has yet to complete.
    pub(crate) fn decode(&self, shape: Shape, seed: u64) -> TestSurface {
        self.decode_visible(shape, seed).0
    }

    /// The same, and the picture.
    pub(crate) fn decode_visible(&self, shape: Shape, seed: u64) -> (TestSurface, Visible) {
        TestSurface::decode(shape, seed, self.decode_stream.cu_stream())
    }

    /// Surfaces with complete pictures, one for each seed.
    pub(crate) fn decoded<const N: usize>(
        &self,
        shape: Shape,
        seeds: [u64; N],
    ) -> [TestSurface; N] {
        let surfaces = seeds.map(|seed| self.decode(shape, seed));
        self.context.synchronize().unwrap();
        surfaces
    }

    pub(crate) fn start_engine(&self) -> Result<Engine<TestSurface>, StartError> {
        let (lost, panics) = (Arc::clone(&self.lost), Arc::clone(&self.panics));
        let driver = Driver::probe().unwrap();
        let (kernels, context) = (Arc::clone(&self.kernels), Arc::clone(&self.context));
        let setup = Setup {
            driver,
            decode_stream: Arc::clone(&self.decode_stream),
            permits: 64,
            kernels: Box::new(move || {
                let mut kernels = kernels.lock().unwrap();
                if kernels.is_none() {
                    *kernels = Some(Kernels::load(driver, &context).map(Arc::new)?);
                }
                Ok(Arc::clone(kernels.as_ref().unwrap()))
            }),
            on_lost: Box::new(move |_| {
                lost.fetch_add(1, Ordering::SeqCst);
            }),
            on_panic: Box::new(move |part, words| {
                panics.lock().unwrap().push(format!("{part}: {words}"));
            }),
        };
        Engine::start(setup)
    }
}

/// A device, its engine and a camera on it: what most tests begin with. They are dropped in this
/// order: the camera leaves, the engine stops, the device closes.
pub(crate) struct Rig {
    pub(crate) camera: Camera,
    pub(crate) engine: Engine<TestSurface>,
    pub(crate) device: Device,
}

impl Rig {
    /// With a ring for pictures of this size.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        Self { camera: Camera::new(&engine, geometry(width, height)), engine, device }
    }

    /// Another camera on the same engine.
    pub(crate) fn another_camera(&self, width: usize, height: usize) -> Camera {
        Camera::new(&self.engine, geometry(width, height))
    }

    /// Decodes a frame, submits it and waits for its outcome.
    pub(crate) fn pass(&mut self, shape: Shape, seed: u64) -> (Outcome, Visible) {
        self.camera.pass(&self.device, shape, seed)
    }

    /// As [`pass`](Self::pass), for a frame that must be published.
    pub(crate) fn publish(&mut self, shape: Shape, seed: u64) -> Visible {
        self.camera.publish(&self.device, shape, seed)
    }
}

/// A camera with its ring and a reader.
pub(crate) struct Camera {
    pub(crate) export: CameraExport,
    pub(crate) writer: RingWriter,
    pub(crate) seen: Arc<Seen>,
    pub(crate) copy_queue: GpuCopyQueue<TestSurface>,
    /// How its pictures are scaled.
    pub(crate) plan: Option<Plan>,
    next_id: u64,
    /// Attached before the first frame: a frame that is given up is a gap, and a later reader gets
    /// nothing from before it.
    early: Mutex<Reader>,
    dir: tempfile::TempDir,
}

pub(crate) fn geometry(width: usize, height: usize) -> Geometry {
    Geometry::new(width as u32, height as u32, Color::default(), 8).unwrap()
}

impl Camera {
    pub(crate) fn new(engine: &Engine<TestSurface>, geometry: Geometry) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
        let notifier = Arc::new(Notifier::start().unwrap());
        let mut export = CameraExport::claim(&root, &id(), &notifier).unwrap();
        let writer = open(&mut export, geometry).unwrap();
        let seen = Arc::new(Seen::default());
        let copy_queue = engine.copy_queue(IN_FLIGHT, Arc::clone(&seen) as _).unwrap();
        let early = Mutex::new(Reader::options().dir(dir.path()).open(id()).unwrap());
        Self { export, writer, seen, copy_queue, plan: None, next_id: 1, early, dir }
    }

    /// For a process that ends without dropping this.
    pub(crate) fn remove_files(&self) {
        std::fs::remove_dir_all(self.dir.path()).unwrap();
    }

    /// A camera whose pictures are scaled by this plan.
    pub(crate) fn scaled(engine: &Engine<TestSurface>, plan: Plan) -> Self {
        let output = plan.output();
        let geometry = geometry(output.width as usize, output.height as usize);
        Self { plan: Some(plan), ..Self::new(engine, geometry) }
    }

    /// Hands a frame over as a tap does.
    pub(crate) fn submit(&mut self, surface: TestSurface) -> Result<u64, NotAdmitted> {
        Ok(self.submit_admitted(self.copy_queue.admit()?, surface))
    }

    pub(crate) fn submit_admitted(&mut self, permit: Permit, surface: TestSurface) -> u64 {
        let slot = self.writer.claim(monotonic_ns()).unwrap();
        let frame_id = self.next_id;
        self.next_id += 1;
        let meta = PublishMeta { frame_id, arrival_ns: monotonic_ns(), ..PublishMeta::default() };
        self.copy_queue.submit(permit, surface, self.plan, slot, meta);
        frame_id
    }

    /// Decodes a frame, submits it and waits for its outcome.
    pub(crate) fn pass(&mut self, device: &Device, shape: Shape, seed: u64) -> (Outcome, Visible) {
        let stream = device.decode_stream.cu_stream();
        let (surface, visible) = TestSurface::decode(shape, seed, stream);
        (self.outcome_of(surface), visible)
    }

    /// As [`pass`](Self::pass), for a frame that must be published.
    pub(crate) fn publish(&mut self, device: &Device, shape: Shape, seed: u64) -> Visible {
        let (outcome, visible) = self.pass(device, shape, seed);
        assert!(is_published(&outcome), "{shape:?}: {outcome:?}");
        visible
    }

    /// Submits a surface and waits for its outcome.
    pub(crate) fn outcome_of(&mut self, surface: TestSurface) -> Outcome {
        let before = self.seen.so_far().len();
        let frame_id = self.submit(surface).unwrap();
        let (settled, outcome) = self.seen.wait(before + 1)[before];
        assert_eq!(settled, frame_id);
        outcome
    }

    /// The newest frame as a reader sees it.
    pub(crate) fn newest(&self) -> (u64, Visible) {
        let frame = self.early.lock().unwrap().latest().unwrap();
        let frame_id = frame.meta().frame_id;
        let mut image = Nv12Image::default();
        frame.copy_if_valid(&mut image).unwrap();
        let (luma, chroma) = (image.luma().to_vec(), image.chroma().to_vec());
        (frame_id, Visible { luma, chroma })
    }

    /// Ids of all frames that can be read, oldest first.
    pub(crate) fn readable(&self) -> Vec<u64> {
        let (mut reader, mut ids) = (self.early.lock().unwrap(), Vec::new());
        while let Ok(frame) =
            reader.seek(ids.last().copied().unwrap_or(0)).set_timeout(Duration::ZERO).next()
        {
            ids.push(frame.meta().frame_id);
        }
        ids
    }
}

fn id() -> CameraId {
    CameraId::new("cam").unwrap()
}

/// Opens an epoch; `None` while something prevents it.
pub(crate) fn open(export: &mut CameraExport, geometry: Geometry) -> Option<RingWriter> {
    let options = RingOptions {
        slots: SLOTS,
        lease: Duration::ZERO,
        frame_rate: Some(FrameRate { num: 25, den: 1 }),
    };
    match export.open_ring(geometry, options).unwrap() {
        OpenRing::Ready(mut writer) => {
            writer.resume(0);
            Some(writer)
        }
        OpenRing::NotBefore(_) => None,
    }
}

pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

pub(crate) fn is_published(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Published { .. })
}
