//! Assembles a camera: inputs, the branches that they feed, and their stats.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use vas_channel::TestHooks;
use vas_config::{Camera, Destinations, Role, Roles, Video, WhenIdle};
use vas_endpoint::{EndpointSlot, RtpEndpoint};
use vas_frame::CameraId;
use vas_pipeline::{
    Branch, Decode, Decoders, Demand, EXTRA_SURFACES, Exported, Exporter, FrameSink, Gpus,
    InputStats, Late, Pipeline, Wakeup,
};
use vas_producer::{Copy, Encode, ProducerStats};
use vas_record::Library;
use vas_status::GpuReport;

use super::status::CameraStats;
use super::test_sinks;

/// What the cameras of a process share.
#[derive(Debug)]
pub(super) struct Parts {
    exporter: Option<Box<dyn Exporter>>,
    library: Library,
    gpus: Arc<Gpus>,
    test_hooks: TestHooks,
    /// Signalled when a thread of a camera ends.
    ends: Arc<Wakeup>,
    /// RTP endpoints of producers, from the supervisor, and what each is bound for.
    endpoints: HashMap<CameraId, (Destinations, Arc<EndpointSlot>)>,
}

impl Parts {
    /// `preferred_gpu` is the GPU, if any, that cameras get while it is usable; without it, `shards` processes divide
    /// each GPU.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub(super) fn new(
        exporter: Option<Box<dyn Exporter>>,
        preferred_gpu: Option<usize>,
        shards: u32,
        test_hooks: TestHooks,
    ) -> io::Result<Self> {
        let ends = Arc::new(Wakeup::new()?);
        let gpus = Arc::new(Gpus::new(preferred_gpu, shards));
        let library = Library::default();
        Ok(Self { exporter, library, gpus, test_hooks, ends, endpoints: HashMap::new() })
    }

    /// Signalled when a thread of a camera ends.
    pub(super) fn ends(&self) -> &Wakeup {
        &self.ends
    }

    /// Keeps the RTP endpoint of a camera's producer, which is bound for `to`.
    pub(super) fn endpoint(&mut self, id: CameraId, to: Destinations, endpoint: RtpEndpoint) {
        self.slot(id, to).fill(endpoint);
    }

    /// Where the endpoint of a camera's producer is, or will be. A pipeline that still runs with other destinations
    /// keeps the slot that it has.
    fn slot(&mut self, id: CameraId, to: Destinations) -> Arc<EndpointSlot> {
        let slot = match self.endpoints.remove(&id) {
            Some((of, slot)) if of == to => slot,
            _ => Arc::default(),
        };
        self.endpoints.insert(id, (to, Arc::clone(&slot)));
        slot
    }

    /// Drops the endpoints of cameras that are no longer `wanted`.
    pub(super) fn keep_endpoints(&mut self, wanted: impl Fn(&CameraId) -> bool) {
        self.endpoints.retain(|id, _| wanted(id));
    }

    /// Starts a camera. After a failure, whatever was started must be stopped, too.
    pub(super) fn start(&mut self, camera: &Camera) -> (Pipeline, CameraStats, io::Result<()>) {
        let mut pipeline = Pipeline::new(camera.id.clone(), Arc::clone(&self.ends));
        let mut inputs = Vec::new();
        let (mut export, mut recorder) = (None, None);
        let producer = camera.producer.as_ref().map(|it| Arc::new(ProducerStats::new(it)));
        let mut started = Ok(());
        for input in &camera.inputs {
            let stats = Arc::new(InputStats::default());
            started = started.and_then(|()| {
                let mut branches: Vec<Box<dyn Branch>> = Vec::new();
                if let (true, Some(how)) = (input.roles.has(Role::Record), &camera.record) {
                    let (branch, stats) = self.library.recorder(&camera.id, how)?;
                    branches.push(Box::new(branch));
                    recorder = Some(stats);
                }
                let mut sinks: Vec<Box<dyn FrameSink>> = Vec::new();
                if let (Some(config), Some(stats)) = (&camera.producer, &producer)
                    && input.roles.has(Role::Producer)
                {
                    let endpoint = &self.slot(camera.id.clone(), config.destinations());
                    match config.video {
                        Video::Copy => {
                            let copy = Copy::new(&camera.id, config, endpoint, stats);
                            branches.push(Box::new(copy));
                        }
                        Video::H264 => {
                            let (encode, start) = Encode::new(&camera.id, config, endpoint, stats);
                            pipeline.add_late(Late::Producer, Box::new(start));
                            sinks.push(Box::new(encode));
                        }
                    }
                }
                let mut demand = None;
                if input.roles.has(Role::Export) {
                    demand = self.export(camera, &stats, &mut sinks, &mut export)?;
                }
                branches.extend(self.decode(camera, input.roles, &stats, sinks, demand));
                pipeline.start(input, &stats, branches)
            });
            inputs.push((input.roles, stats));
        }
        let id = camera.id.clone();
        (pipeline, CameraStats { id, inputs, recorder, export, producer }, started)
    }

    /// Adds the sinks for the exported input; returns the demand of the tap's readers, if there is
    /// a tap.
    fn export(
        &self,
        camera: &Camera,
        stats: &Arc<InputStats>,
        sinks: &mut Vec<Box<dyn FrameSink>>,
        export: &mut Option<Arc<dyn Exported>>,
    ) -> io::Result<Option<Arc<Demand>>> {
        sinks.extend(test_sinks::of(&self.test_hooks, &camera.id)?);
        let Some(exporter) = &self.exporter else { return Ok(None) };
        let asked = Arc::new(Demand::default());
        let (tap, exported) = exporter.add(camera, stats, &asked);
        *export = Some(exported);
        // Last, because it moves the frame out.
        sinks.push(tap);
        Ok(Some(asked))
    }

    /// The decode branch, if there are sinks; `demand` is that of the tap's readers, if there is a
    /// tap.
    fn decode(
        &self,
        camera: &Camera,
        roles: Roles,
        stats: &Arc<InputStats>,
        mut sinks: Vec<Box<dyn FrameSink>>,
        demand: Option<Arc<Demand>>,
    ) -> Option<Box<dyn Branch>> {
        // A branch that other sinks need, too, neither rests nor is put off.
        let for_tap_alone = sinks.len() == 1 && demand.is_some();
        let demand = demand.filter(|_| for_tap_alone && camera.idle == WhenIdle::Stop);
        let sink = match sinks.len() {
            0 => return None,
            1 => sinks.pop()?,
            _ => Box::new(sinks),
        };
        let decoders = Decoders::new(camera, roles, Arc::clone(&self.gpus), held(camera, roles));
        let decode = Decode::new(stats, sink, demand, decoders, camera.decode_frames);
        Some(Box::new(match for_tap_alone {
            true => decode.may_be_late(Late::Export),
            false if encodes(camera, roles) => decode.may_be_late(Late::Producer),
            false => decode,
        }))
    }

    /// Starts missing parts of the frame path, and retries those that failed.
    pub(super) fn look_after_frame_path(&mut self, now: Instant) {
        if let Some(exporter) = &mut self.exporter {
            exporter.look_after(now);
        }
    }

    /// Records why the frame path is not started.
    pub(super) fn put_off_frame_path(&mut self, words: &str) {
        if let Some(exporter) = &mut self.exporter {
            exporter.refuse(words);
        }
    }

    /// The GPUs that have been opened.
    pub(super) fn gpus(&self) -> Vec<GpuReport> {
        self.gpus.report()
    }

    /// Panics that the frame path's threads survived.
    pub(super) fn frame_path_panics(&self) -> u64 {
        self.exporter.as_ref().map_or(0, |exporter| exporter.panics())
    }

    /// Releases a camera's resources, once its threads have ended. It may then be started again.
    pub(super) fn remove(&self, camera: &CameraId) {
        if let Some(exporter) = &self.exporter {
            exporter.remove(camera);
        }
    }

    /// Stops what the cameras shared, once their threads have ended.
    pub(super) fn stop(self) {
        // First, because the library may wait for a dead disk.
        if let Some(exporter) = self.exporter {
            exporter.stop();
        }
        self.library.stop();
    }
}

/// Pictures that the sinks of an input may hold at a time. A decoder on a GPU has that many more
/// surfaces: with fewer, a slow encoder would take those that readers' frames are decoded to, and
/// vice versa. It does not depend on whether frames are exported (contract V3).
fn held(camera: &Camera, roles: Roles) -> u32 {
    EXTRA_SURFACES + if encodes(camera, roles) { vas_producer::HELD_PICTURES } else { 0 }
}

/// Whether the input's frames are encoded for a producer.
fn encodes(camera: &Camera, roles: Roles) -> bool {
    roles.has(Role::Producer)
        && camera.producer.as_ref().is_some_and(|producer| producer.video == Video::H264)
}

/// The stats of a camera that has not started yet.
pub(super) fn not_started(camera: &Camera) -> CameraStats {
    CameraStats {
        id: camera.id.clone(),
        inputs: camera.inputs.iter().map(|input| (input.roles, Arc::default())).collect(),
        recorder: None,
        export: None,
        producer: None,
    }
}
