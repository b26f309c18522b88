//! The service: cameras, the frame path if it is enabled, the status, and a clean end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use vas_media::StopFlag;

use crate::config::{Camera, Config, Role, WhenIdle};
use crate::export::{ExportFacts, FramePath, FramePathError};
use crate::flag::FrameExport;
use crate::gpus::Gpus;
use crate::pipeline::{Branch, Decode, Decoders, Demand, Pipeline, Shown, Taker};
use crate::status::{self, CameraStatus, InputStatus, StatusFiles};
use crate::trial::Trial;

/// Most cameras of one service; queues between threads are sized for it.
const MAX_CAMERAS: usize = 4096;
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Why the service could not start or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("{count} cameras are more than one service takes; expected at most {MAX_CAMERAS}")]
    TooManyCameras { count: usize },
    #[error("can't use the run directory {}: {source}; see `[service] run_dir`", path.display())]
    RunDir { path: PathBuf, source: io::Error },
    #[error("can't handle signals: {0}")]
    Signals(io::Error),
    #[error("can't start a thread for camera {camera}: {source}")]
    Thread { camera: String, source: io::Error },
    #[error("can't export frames: {0}")]
    FramePath(#[from] FramePathError),
}

/// Runs the cameras of `config` until SIGINT or SIGTERM.
pub(crate) fn run(config: Config, export: FrameExport, trial: &Trial) -> Result<(), RunError> {
    let count = config.cameras.len();
    if count > MAX_CAMERAS {
        return Err(RunError::TooManyCameras { count });
    }
    vas_media::init();
    let stop = stop_on_signals()?;
    let mut files = StatusFiles::create(&config.run_dir, export)
        .map_err(|source| RunError::RunDir { path: config.run_dir.clone(), source })?;
    let frame_path = match export {
        FrameExport::On => Some(FramePath::start(&config.export)?),
        FrameExport::Off => None,
    };
    tracing::info!(
        "{count} {}, frame export {}",
        if count == 1 { "camera" } else { "cameras" },
        match export {
            FrameExport::On => format!("on, in {}", config.export.dir.display()),
            FrameExport::Off => "off".to_owned(),
        },
    );
    let mut running = Running::default();
    for camera in &config.cameras {
        let started = running.start(camera, frame_path.as_ref(), trial);
        if let Err(source) = started {
            running.stop();
            return Err(RunError::Thread { camera: camera.id.to_string(), source });
        }
    }
    loop {
        files.write_own(status::report(0, &mut running.shown));
        if stop.wait_for(STATUS_EVERY) {
            break;
        }
    }
    tracing::info!("stopping");
    running.stop();
    if let Some(frame_path) = frame_path {
        frame_path.stop();
    }
    Ok(())
}

/// The cameras that run, and what they show.
#[derive(Default)]
struct Running {
    gpus: Arc<Gpus>,
    pipelines: Vec<Pipeline>,
    shown: Vec<CameraStatus>,
}

impl Running {
    fn start(
        &mut self,
        camera: &Camera,
        frame_path: Option<&FramePath>,
        trial: &Trial,
    ) -> io::Result<()> {
        let mut pipeline = Pipeline::new(camera.id.clone());
        let mut inputs = Vec::new();
        let mut export = None;
        let mut started = Ok(());
        for input in &camera.inputs {
            let shown = Arc::new(Shown::default());
            let mut branches: Vec<Box<dyn Branch>> = Vec::new();
            started = started.and_then(|()| {
                if input.roles.has(Role::Export) {
                    let (decode, facts) = decode(camera, &shown, frame_path, &self.gpus, trial)?;
                    branches.extend(decode.map(|decode| Box::new(decode) as _));
                    export = facts;
                }
                pipeline.start(input, &shown, branches)
            });
            inputs.push(InputStatus { roles: input.roles, shown });
        }
        // Also after a failure: what has started is to be stopped.
        self.pipelines.push(pipeline);
        self.shown.push(CameraStatus::new(camera.id.clone(), inputs, export));
        started
    }

    /// All at once, then one by one: a camera that hangs in a call delays none of the others.
    fn stop(&mut self) {
        self.pipelines.iter().for_each(Pipeline::stop);
        self.pipelines.drain(..).for_each(Pipeline::join);
    }
}

/// The decode branch, if anybody takes frames.
fn decode(
    camera: &Camera,
    shown: &Arc<Shown>,
    frame_path: Option<&FramePath>,
    gpus: &Arc<Gpus>,
    trial: &Trial,
) -> io::Result<(Option<Decode>, Option<Arc<ExportFacts>>)> {
    let mut takers = trial.takers(&camera.id)?;
    let (mut export, mut demand) = (None, None);
    if let Some(frame_path) = frame_path {
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
    let decoders = || Decoders::new(camera, Arc::clone(gpus));
    Ok((taker.map(|taker| Decode::new(shown, taker, demand, decoders())), export))
}

/// A flag that SIGINT and SIGTERM set.
fn stop_on_signals() -> Result<StopFlag, RunError> {
    let stop = StopFlag::new();
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(RunError::Signals)?;
    let of_thread = stop.clone();
    std::thread::Builder::new()
        .name("vas-signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if of_thread.is_stopped() {
                    tracing::warn!("signal {signal} again: still stopping");
                }
                of_thread.stop();
            }
        })
        .map_err(RunError::Signals)?;
    Ok(stop)
}
