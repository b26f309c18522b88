//! The cameras of a shard: those that run, those that are to, and those that are about to end.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use vas_frame::CameraId;

use vas_config::Camera;
use vas_pipeline::{Backoff, Pipeline};
use vas_producer::RtpEndpoint;
use vas_status::ShardReport;

use super::assembly::{self, Parts};
use super::status::{self, CameraStats};

/// When to try again after the system had no thread to give.
const RETRY: Duration = Duration::from_secs(5);
/// A camera that has not ended after so long is spoken of.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// All of them. Nothing here waits, but for [`stop`](Self::stop).
#[derive(Debug)]
pub(super) struct Cameras {
    parts: Parts,
    /// In the order of the config, each with what it shows at the same index of `stats`.
    wanted: Vec<Wanted>,
    stats: Vec<CameraStats>,
    leaving: Vec<Leaving>,
    /// When to ask again for threads that only exports need.
    exports_at: Option<Instant>,
    exports_backoff: Backoff,
}

#[derive(Debug)]
struct Wanted {
    camera: Camera,
    run: Run,
    /// The system had no thread for it.
    short_of_threads: bool,
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
    reported: bool,
}

impl Cameras {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            wanted: Vec::new(),
            stats: Vec::new(),
            leaving: Vec::new(),
            exports_at: None,
            exports_backoff: Backoff::jittered(u64::from(std::process::id())),
        }
    }

    /// What this process, shard `shard`, has to say.
    pub(super) fn report(&mut self, shard: u32) -> ShardReport {
        status::report(shard, &self.stats, self.parts.frame_path_panics())
    }

    /// Keeps what a camera's producer sends through, for when it starts.
    pub(super) fn endpoint(&mut self, id: CameraId, endpoint: RtpEndpoint) {
        self.parts.endpoint(id, endpoint);
    }

    /// Runs these and no others from here on. A camera that is as it was is not touched.
    pub(super) fn set(&mut self, cameras: Vec<Camera>) {
        self.parts.keep_endpoints(|id| cameras.iter().any(|camera| camera.id == *id));
        let mut before: Vec<_> =
            self.wanted.drain(..).zip(self.stats.drain(..)).map(Some).collect();
        for camera in cameras {
            let same = |one: &Option<(Wanted, CameraStats)>| {
                one.as_ref().is_some_and(|(wanted, _)| wanted.camera == camera)
            };
            let kept = before.iter().position(same).and_then(|at| before[at].take());
            let (wanted, stats) = kept.unwrap_or_else(|| {
                let stats = assembly::not_started(&camera);
                (Wanted { camera, run: Run::From(None), short_of_threads: false }, stats)
            });
            self.wanted.push(wanted);
            self.stats.push(stats);
        }
        for (wanted, _) in before.into_iter().flatten() {
            self.leave(wanted);
        }
    }

    fn leave(&mut self, Wanted { camera, run, .. }: Wanted) {
        let Run::Running(pipeline) = run else { return };
        pipeline.stop();
        tracing::info!(camera = %camera.id, "ends: the config changed");
        self.leaving.push(Leaving {
            id: camera.id,
            pipeline,
            since: Instant::now(),
            reported: false,
        });
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
        for leaving in self.leaving.iter_mut().filter(|leaving| !leaving.reported) {
            if now.saturating_duration_since(leaving.since) >= PATIENCE {
                tracing::error!(camera = %leaving.id, "does not end; what replaces it waits");
                leaving.reported = true;
            }
        }
        for (wanted, stats) in self.wanted.iter_mut().zip(&mut self.stats) {
            let Run::From(from) = wanted.run else { continue };
            let id = &wanted.camera.id;
            if from.is_some_and(|from| now < from) || self.leaving.iter().any(|l| l.id == *id) {
                continue;
            }
            let (pipeline, status, started) = self.parts.start(&wanted.camera);
            match started {
                Ok(()) => {
                    *stats = status;
                    wanted.run = Run::Running(pipeline);
                    wanted.short_of_threads = false;
                }
                Err(error) => {
                    tracing::error!(camera = %id, "can't start a thread: {error}");
                    stats.set_waiting(&format!("can't start a thread: {error}"));
                    wanted.short_of_threads = error.kind() == ErrorKind::WouldBlock;
                    pipeline.stop();
                    self.leaving.push(Leaving {
                        id: id.clone(),
                        pipeline,
                        since: now,
                        reported: false,
                    });
                    wanted.run = Run::From(Some(now + RETRY));
                }
            }
        }
        self.advance_exports(now);
    }

    /// Starts what only exports need, once all that records and produces has its threads.
    fn advance_exports(&mut self, now: Instant) {
        // Before the supervisor has said which cameras there are, nobody's threads are in place.
        if self.wanted.is_empty() {
            return;
        }
        if let Some(short) = self.wanted.iter().find(|wanted| wanted.short_of_threads) {
            let id = &short.camera.id;
            let words = format!(
                "no thread is left for exports: camera {id} lacks one to record or produce"
            );
            self.parts.put_off_frame_path(&words);
            self.running_put_off().for_each(|(_, stats)| {
                stats.refuse_export(&words);
            });
            return;
        }
        self.parts.look_after_frame_path(now);
        if self.exports_at.is_some_and(|at| now < at) {
            return;
        }
        let mut failed = None;
        for (pipeline, stats) in self.running_put_off() {
            match pipeline.start_put_off() {
                Ok(()) => stats.no_longer_refuse_export(),
                Err(error) => {
                    let words = format!("can't start a thread to decode on: {error}");
                    if stats.refuse_export(&words) {
                        tracing::error!(camera = %pipeline.camera(), "runs without export: {words}");
                    }
                    failed = Some(error);
                }
            }
        }
        self.exports_at = match failed {
            Some(_) => Some(now + self.exports_backoff.failed()),
            None => {
                self.exports_backoff.reset();
                None
            }
        };
    }

    /// Cameras that run, but for what only their export needs.
    fn running_put_off(&mut self) -> impl Iterator<Item = (&mut Pipeline, &mut CameraStats)> {
        let all = self.wanted.iter_mut().zip(&mut self.stats);
        all.filter_map(|(wanted, stats)| match &mut wanted.run {
            Run::Running(pipeline) if pipeline.has_put_off() => Some((pipeline, stats)),
            _ => None,
        })
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
