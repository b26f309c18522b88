//! A camera put together: inputs, the branches that they feed, and what it shows.

use std::io;
use std::sync::Arc;

use vas_frame::CameraId;

use crate::config::{Camera, Role, WhenIdle};
use crate::export::{ExportFacts, FramePath};
use crate::gpus::Gpus;
use crate::pipeline::{Branch, Decode, Decoders, Demand, Pipeline, Shown, Taker};
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
}

impl Parts {
    pub(crate) fn new(frame_path: Option<FramePath>, trial: Trial) -> Self {
        Self { frame_path, library: Library::default(), gpus: Arc::default(), trial }
    }

    /// Starts a camera. What has started before a failure is to be stopped, too.
    pub(crate) fn start(&self, camera: &Camera) -> (Pipeline, CameraStatus, io::Result<()>) {
        let mut pipeline = Pipeline::new(camera.id.clone());
        let mut inputs = Vec::new();
        let (mut export, mut record) = (None, None);
        let mut started = Ok(());
        for input in &camera.inputs {
            let shown = Arc::new(Shown::default());
            let mut branches: Vec<Box<dyn Branch>> = Vec::new();
            started = started.and_then(|()| {
                if let (true, Some(how)) = (input.roles.has(Role::Record), &camera.record) {
                    let (recorder, facts) = self.library.recorder(&camera.id, how)?;
                    branches.push(Box::new(recorder));
                    record = Some(facts);
                }
                if input.roles.has(Role::Export) {
                    let (decode, facts) = self.decode(camera, &shown)?;
                    branches.extend(decode.map(|decode| Box::new(decode) as _));
                    export = facts;
                }
                pipeline.start(input, &shown, branches)
            });
            inputs.push(InputStatus { roles: input.roles, shown });
        }
        (pipeline, CameraStatus::new(camera.id.clone(), inputs, record, export), started)
    }

    /// The decode branch, if anybody takes frames.
    fn decode(
        &self,
        camera: &Camera,
        shown: &Arc<Shown>,
    ) -> io::Result<(Option<Decode>, Option<Arc<ExportFacts>>)> {
        let mut takers = self.trial.takers(&camera.id)?;
        let (mut export, mut demand) = (None, None);
        if let Some(frame_path) = &self.frame_path {
            let asked = Arc::new(Demand::default());
            let (tap, facts) = frame_path.add(camera, shown, &asked);
            export = Some(facts);
            // A decoder that others need too does not rest.
            demand = (takers.is_empty() && camera.idle == WhenIdle::Stop).then_some(asked);
            // Last: it moves the frame on.
            takers.push(Box::new(tap));
        }
        let taker: Option<Box<dyn Taker>> = match takers.len() {
            0 => None,
            1 => takers.pop(),
            _ => Some(Box::new(takers)),
        };
        let decoders = || Decoders::new(camera, Arc::clone(&self.gpus));
        Ok((taker.map(|taker| Decode::new(shown, taker, demand, decoders())), export))
    }

    /// Takes back what a camera was given, once its threads have ended. It may then be started again.
    pub(crate) fn remove(&self, camera: &CameraId) {
        if let Some(frame_path) = &self.frame_path {
            frame_path.remove(camera);
        }
    }

    /// Ends what the cameras shared, once their threads have ended.
    pub(crate) fn stop(self) {
        self.library.stop();
        if let Some(frame_path) = self.frame_path {
            frame_path.stop();
        }
    }
}

/// What a camera shows that has not started yet.
pub(crate) fn not_started(camera: &Camera) -> CameraStatus {
    let inputs = camera.inputs.iter();
    let inputs = inputs.map(|input| InputStatus { roles: input.roles, shown: Arc::default() });
    CameraStatus::new(camera.id.clone(), inputs.collect(), None, None)
}
