//! The cameras of a shard: those that run, those that are to, and those that are about to end.

use std::time::{Duration, Instant};

use vas_frame::CameraId;

use crate::config::Camera;
use crate::pipeline::Pipeline;
use crate::producer::Seat;
use crate::service::{self, Parts};
use crate::status::CameraStatus;

/// When to try again after the system had no thread to give.
const RETRY: Duration = Duration::from_secs(5);
/// A camera that has not ended after so long is spoken of.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// All of them. Nothing here waits, but for [`stop`](Self::stop).
#[derive(Debug)]
pub(super) struct Cameras {
    parts: Parts,
    /// In the order of the config, each with what it shows at the same index of `shown`.
    wanted: Vec<Wanted>,
    shown: Vec<CameraStatus>,
    leaving: Vec<Leaving>,
}

#[derive(Debug)]
struct Wanted {
    camera: Camera,
    run: Run,
}

#[derive(Debug)]
enum Run {
    Running(Pipeline),
    /// To be started, not before this time and not before its predecessor has ended.
    From(Option<Instant>),
}

#[derive(Debug)]
struct Leaving {
    id: CameraId,
    pipeline: Pipeline,
    since: Instant,
    told: bool,
}

impl Cameras {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts, wanted: Vec::new(), shown: Vec::new(), leaving: Vec::new() }
    }

    /// What the status looks at.
    pub(super) fn shown(&mut self) -> &mut [CameraStatus] {
        &mut self.shown
    }

    /// Keeps what a camera's producer sends through, for when it starts.
    pub(super) fn seat(&mut self, id: CameraId, seat: Seat) {
        self.parts.seat(id, seat);
    }

    /// Runs these and no others from here on. A camera that is as it was is not touched.
    pub(super) fn set(&mut self, cameras: Vec<Camera>) {
        self.parts.keep_seats(|id| cameras.iter().any(|camera| camera.id == *id));
        let mut before: Vec<_> =
            self.wanted.drain(..).zip(self.shown.drain(..)).map(Some).collect();
        for camera in cameras {
            let same = |one: &Option<(Wanted, CameraStatus)>| {
                one.as_ref().is_some_and(|(wanted, _)| wanted.camera == camera)
            };
            let kept = before.iter().position(same).and_then(|at| before[at].take());
            let (wanted, shown) = kept.unwrap_or_else(|| {
                let shown = service::not_started(&camera);
                (Wanted { camera, run: Run::From(None) }, shown)
            });
            self.wanted.push(wanted);
            self.shown.push(shown);
        }
        for (wanted, _) in before.into_iter().flatten() {
            self.leave(wanted);
        }
    }

    fn leave(&mut self, Wanted { camera, run }: Wanted) {
        let Run::Running(pipeline) = run else { return };
        pipeline.stop();
        tracing::info!(camera = %camera.id, "ends: the config changed");
        self.leaving.push(Leaving { id: camera.id, pipeline, since: Instant::now(), told: false });
    }

    /// Whether all that run are to run, and no other.
    pub(super) fn is_settled(&self) -> bool {
        self.leaving.is_empty()
            && self.wanted.iter().all(|wanted| matches!(wanted.run, Run::Running(_)))
    }

    /// Starts what is to be started, and lets go of what has ended.
    pub(super) fn advance(&mut self, now: Instant) {
        let over = self.leaving.extract_if(.., |leaving| leaving.pipeline.is_over());
        for leaving in over {
            leaving.pipeline.join();
            self.parts.remove(&leaving.id);
        }
        for leaving in self.leaving.iter_mut().filter(|leaving| !leaving.told) {
            if now.saturating_duration_since(leaving.since) >= PATIENCE {
                tracing::error!(camera = %leaving.id, "does not end; what replaces it waits");
                leaving.told = true;
            }
        }
        for (wanted, shown) in self.wanted.iter_mut().zip(&mut self.shown) {
            let Run::From(from) = wanted.run else { continue };
            let id = &wanted.camera.id;
            if from.is_some_and(|from| now < from) || self.leaving.iter().any(|l| l.id == *id) {
                continue;
            }
            let (pipeline, status, started) = self.parts.start(&wanted.camera);
            match started {
                Ok(()) => {
                    *shown = status;
                    wanted.run = Run::Running(pipeline);
                }
                Err(error) => {
                    tracing::error!(camera = %id, "can't start a thread: {error}");
                    pipeline.stop();
                    self.leaving.push(Leaving {
                        id: id.clone(),
                        pipeline,
                        since: now,
                        told: false,
                    });
                    wanted.run = Run::From(Some(now + RETRY));
                }
            }
        }
    }

    /// Ends them all, and the frame path; which of them did not end in time. All are asked before any is waited
    /// for: one that hangs in a call delays none of the others.
    pub(super) fn stop(mut self, within: Duration) -> Vec<String> {
        let until = Instant::now() + within;
        let running = self.wanted.drain(..).filter_map(|wanted| match wanted.run {
            Run::Running(pipeline) => Some((wanted.camera.id, pipeline)),
            Run::From(_) => None,
        });
        let leaving = self.leaving.drain(..).map(|leaving| (leaving.id, leaving.pipeline));
        let mut ending: Vec<_> = leaving.chain(running).collect();
        ending.iter().for_each(|(_, pipeline)| pipeline.stop());
        loop {
            for (_, pipeline) in ending.extract_if(.., |(_, pipeline)| pipeline.is_over()) {
                pipeline.join();
            }
            if ending.is_empty() || Instant::now() >= until {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        // Also with a camera that hangs: its files go, and what it holds of them is its own.
        self.parts.stop();
        ending.into_iter().map(|(id, _)| id.to_string()).collect()
    }
}
