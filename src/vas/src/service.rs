//! A camera put together: inputs, the branches that they feed, and what it shows.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use vas_frame::CameraId;

use crate::config::{Camera, Producer, Role, Roles, Video, WhenIdle};
use crate::export::{EXTRA_SURFACES, ExportFacts, FramePath};
use crate::gpus::Gpus;
use crate::pipeline::{Branch, Decode, Decoders, Demand, Pipeline, Shown, Taker};
use crate::producer::{self, Seat};
use crate::record::Library;
use crate::status::{CameraStatus, InputStatus};
use crate::trial::Trial;

/// What the cameras of a process share.
#[derive(Debug)]
pub(crate) struct Parts {
    frame_path: Option<FramePath>,
    library: Library,
    gpus: Arc<Gpus>,
    trial: Trial,
    /// What producers send through, as the supervisor gave it.
    seats: HashMap<CameraId, Seat>,
}

impl Parts {
    /// `home` is the GPU that cameras are given while it is well, if one is.
    pub(crate) fn new(frame_path: Option<FramePath>, home: Option<usize>, trial: Trial) -> Self {
        let gpus = Arc::new(Gpus::at_home(home));
        let library = Library::default();
        Self { frame_path, library, gpus, trial, seats: HashMap::new() }
    }

    /// Keeps what a camera's producer sends through.
    pub(crate) fn seat(&mut self, id: CameraId, seat: Seat) {
        self.seats.insert(id, seat);
    }

    /// Lets go of the seats of all other cameras.
    pub(crate) fn keep_seats(&mut self, of: impl Fn(&CameraId) -> bool) {
        self.seats.retain(|id, _| of(id));
    }

    /// Starts a camera. What has started before a failure is to be stopped, too.
    pub(crate) fn start(&self, camera: &Camera) -> (Pipeline, CameraStatus, io::Result<()>) {
        let mut pipeline = Pipeline::new(camera.id.clone());
        let mut inputs = Vec::new();
        let (mut export, mut record) = (None, None);
        let producer = camera.producer.as_ref().map(|it| Arc::new(producer::Shown::new(it)));
        let mut started = Ok(());
        for input in &camera.inputs {
            let shown = Arc::new(Shown::default());
            started = started.and_then(|()| {
                let mut branches: Vec<Box<dyn Branch>> = Vec::new();
                if let (true, Some(how)) = (input.roles.has(Role::Record), &camera.record) {
                    let (recorder, facts) = self.library.recorder(&camera.id, how)?;
                    branches.push(Box::new(recorder));
                    record = Some(facts);
                }
                let mut takers: Vec<Box<dyn Taker>> = Vec::new();
                if let (Some(config), Some(shown)) = (&camera.producer, &producer)
                    && input.roles.has(Role::Producer)
                    && let Err(error) =
                        self.producer(&camera.id, config, shown, &mut branches, &mut takers)
                {
                    // What is recorded goes on without it. Without a recorder all is tried again soon.
                    if camera.record.is_none() {
                        return Err(error);
                    }
                    shown.cannot_start(&error);
                    tracing::error!(camera = %camera.id, "runs without its producer: {error}");
                }
                let mut demand = None;
                if input.roles.has(Role::Export) {
                    demand = self.export(camera, &shown, &mut takers, &mut export)?;
                }
                branches.extend(self.decode(camera, input.roles, &shown, takers, demand));
                pipeline.start(input, &shown, branches)
            });
            inputs.push(InputStatus { roles: input.roles, shown });
        }
        (pipeline, CameraStatus::new(camera.id.clone(), inputs, record, export, producer), started)
    }

    /// Adds what sends the camera to its transport.
    fn producer(
        &self,
        camera: &CameraId,
        config: &Producer,
        shown: &Arc<producer::Shown>,
        branches: &mut Vec<Box<dyn Branch>>,
        takers: &mut Vec<Box<dyn Taker>>,
    ) -> io::Result<()> {
        let seat = self.seats.get(camera).cloned();
        let seat =
            seat.ok_or_else(|| io::Error::other("it was given no socket by the supervisor"))?;
        match config.video {
            Video::Copy => {
                branches.push(Box::new(producer::Copy::new(camera, config, seat, shown)?));
            }
            Video::H264 => {
                takers.push(Box::new(producer::Encode::start(camera, config, seat, shown)?));
            }
        }
        Ok(())
    }

    /// Adds those who take the frames of the input that is exported; the demand of the tap's readers, if there is
    /// one.
    fn export(
        &self,
        camera: &Camera,
        shown: &Arc<Shown>,
        takers: &mut Vec<Box<dyn Taker>>,
        export: &mut Option<Arc<ExportFacts>>,
    ) -> io::Result<Option<Arc<Demand>>> {
        takers.extend(self.trial.takers(&camera.id)?);
        let Some(frame_path) = &self.frame_path else { return Ok(None) };
        let asked = Arc::new(Demand::default());
        let (tap, facts) = frame_path.add(camera, shown, &asked);
        *export = Some(facts);
        // Last: it moves the frame on.
        takers.push(Box::new(tap));
        Ok(Some(asked))
    }

    /// The decode branch, if anybody takes frames; `demand` is that of the tap's readers, if there is a tap.
    fn decode(
        &self,
        camera: &Camera,
        roles: Roles,
        shown: &Arc<Shown>,
        mut takers: Vec<Box<dyn Taker>>,
        demand: Option<Arc<Demand>>,
    ) -> Option<Box<dyn Branch>> {
        // What others need, too, does not rest, and is not put off.
        let for_tap_alone = takers.len() == 1 && demand.is_some();
        let demand = demand.filter(|_| for_tap_alone && camera.idle == WhenIdle::Stop);
        let taker = match takers.len() {
            0 => return None,
            1 => takers.pop()?,
            _ => Box::new(takers),
        };
        let decoders = Decoders::new(camera, Arc::clone(&self.gpus), held(camera, roles));
        let decode = Decode::new(shown, taker, demand, decoders, camera.decode_frames);
        Some(Box::new(if for_tap_alone { decode.put_off() } else { decode }))
    }

    /// Starts what the frame path lacks, and asks again for what could not be had.
    pub(crate) fn look_after_frame_path(&mut self, now: Instant) {
        if let Some(frame_path) = &mut self.frame_path {
            frame_path.look_after(now);
        }
    }

    /// Says why the frame path is not started.
    pub(crate) fn put_off_frame_path(&mut self, words: &str) {
        if let Some(frame_path) = &mut self.frame_path {
            frame_path.refuse(words);
        }
    }

    /// Panics in the frame path's threads that it got over.
    pub(crate) fn frame_path_panics(&self) -> u64 {
        self.frame_path.as_ref().map_or(0, FramePath::panics)
    }

    /// Takes back what a camera was given, once its threads have ended. It may then be started again.
    pub(crate) fn remove(&self, camera: &CameraId) {
        if let Some(frame_path) = &self.frame_path {
            frame_path.remove(camera);
        }
    }

    /// Ends what the cameras shared, once their threads have ended.
    pub(crate) fn stop(self) {
        // First, for the other may wait for a disk that is dead.
        if let Some(frame_path) = self.frame_path {
            frame_path.stop();
        }
        self.library.stop();
    }
}

/// Pictures that those who take an input's frames may hold at a time. A decoder on a GPU has so many surfaces more:
/// with fewer, a slow encoder would take those that readers' frames are decoded to, and the other way round.
/// Whether frames are exported changes nothing of it (contract V3).
fn held(camera: &Camera, roles: Roles) -> u32 {
    let encodes = camera.producer.as_ref().is_some_and(|producer| producer.video == Video::H264);
    let encoder = if encodes && roles.has(Role::Producer) { producer::HELD_PICTURES } else { 0 };
    EXTRA_SURFACES + encoder
}

/// What a camera shows that has not started yet.
pub(crate) fn not_started(camera: &Camera) -> CameraStatus {
    let inputs = camera.inputs.iter();
    let inputs = inputs.map(|input| InputStatus { roles: input.roles, shown: Arc::default() });
    CameraStatus::new(camera.id.clone(), inputs.collect(), None, None, None)
}
