//! The cameras of a shard: those that run, those to be started, and those that are ending.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use vas_backoff::Backoff;
use vas_config::{Camera, Destinations};
use vas_endpoint::RtpEndpoint;
use vas_frame::CameraId;
use vas_pipeline::{Late, Pipeline};
use vas_status::ShardReport;

use super::assembly::{self, Parts};
use super::status::{self, CameraStats};

/// The delay after the system had no thread or no descriptor to give.
const RETRY: Duration = Duration::from_secs(5);
/// How long a camera may take to end before that is logged.
const PATIENCE: Duration = Duration::from_secs(10);

/// All of them. Nothing here waits, except [`stop`](Self::stop).
#[derive(Debug)]
pub(super) struct Cameras {
    parts: Parts,
    /// In the order of the config; the stats of each are at the same index of `stats`.
    wanted: Vec<Wanted>,
    stats: Vec<CameraStats>,
    leaving: Vec<Leaving>,
    /// When to retry the threads that only exports need.
    exports_at: Option<Instant>,
    exports_backoff: Backoff,
}

#[derive(Debug)]
struct Wanted {
    camera: Camera,
    run: Run,
    /// The system had no thread, no descriptor or no memory for what it records or produces with.
    lacks_resources: bool,
    /// When to retry its producer, if that could not start.
    producer_at: Option<Instant>,
    producer_backoff: Backoff,
}

/// Whether the system is short of what exports would take from recorders and producers.
fn is_shortage(error: &io::Error) -> bool {
    let short = [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| short.contains(&errno))
}

impl Wanted {
    fn new(camera: Camera) -> Self {
        let seed = RandomState::new().hash_one(camera.id.as_str());
        Self {
            camera,
            run: Run::From(None),
            lacks_resources: false,
            producer_at: None,
            producer_backoff: Backoff::jittered(seed),
        }
    }
}

#[derive(Debug)]
enum Run {
    Running(Pipeline),
    /// To be started, but not before this time or before its predecessor has ended.
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

    /// The report of this process, shard `shard`.
    pub(super) fn report(&mut self, shard: u32) -> ShardReport {
        status::report(shard, &self.stats, self.parts.frame_path_panics(), self.parts.gpus())
    }

    /// Keeps the RTP endpoint of a camera's producer for its start, which may be now.
    pub(super) fn endpoint(&mut self, id: CameraId, to: Destinations, endpoint: RtpEndpoint) {
        let waiting = self.wanted.iter_mut().find(|wanted| wanted.camera.id == id);
        waiting.into_iter().for_each(|wanted| wanted.producer_at = None);
        self.parts.endpoint(id, to, endpoint);
    }

    /// Runs these and no others from now on. Unchanged cameras are not touched.
    pub(super) fn set(&mut self, cameras: Vec<Camera>) {
        let new = |id: &CameraId| cameras.iter().find(|camera| camera.id == *id);
        self.parts.keep_endpoints(|id| new(id).is_some());
        let mut before: Vec<_> =
            self.wanted.drain(..).zip(self.stats.drain(..)).map(Some).collect();
        for camera in cameras {
            let same = |one: &Option<(Wanted, CameraStats)>| {
                one.as_ref().is_some_and(|(wanted, _)| wanted.camera == camera)
            };
            let kept = before.iter().position(same).and_then(|at| before[at].take());
            let (wanted, stats) = kept.unwrap_or_else(|| {
                let stats = assembly::not_started(&camera);
                (Wanted::new(camera), stats)
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
        tracing::info!(camera = %camera.id, "stopping: the config changed");
        self.leaving.push(Leaving {
            id: camera.id,
            pipeline,
            since: Instant::now(),
            reported: false,
        });
    }

    /// When there is something to do by the clock; `None` if never. The end of a thread is an event.
    pub(super) fn next(&self) -> Option<Instant> {
        let to_report = self.leaving.iter().filter(|leaving| !leaving.reported);
        let to_report = to_report.map(|leaving| leaving.since + PATIENCE);
        // One whose predecessor is leaving waits for an event.
        let leaves = |id: &CameraId| self.leaving.iter().any(|leaving| leaving.id == *id);
        let to_start = self.wanted.iter().filter_map(|wanted| match wanted.run {
            Run::From(from) if !leaves(&wanted.camera.id) => from,
            _ => None,
        });
        to_report.chain(to_start).min()
    }

    /// Starts what is due, and drops what has ended.
    pub(super) fn advance(&mut self, now: Instant) {
        self.parts.ends().clear();
        let over = self.leaving.extract_if(.., |leaving| leaving.pipeline.is_over());
        for leaving in over {
            leaving.pipeline.join();
            self.parts.remove(&leaving.id);
        }
        for leaving in self.leaving.iter_mut().filter(|leaving| !leaving.reported) {
            if now.saturating_duration_since(leaving.since) >= PATIENCE {
                tracing::error!(camera = %leaving.id, "does not end; its replacement waits");
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
                    wanted.lacks_resources = false;
                }
                Err(error) => {
                    tracing::error!(camera = %id, "can't start a thread: {error}");
                    stats.set_waiting(&format!("can't start a thread: {error}"));
                    wanted.lacks_resources = is_shortage(&error);
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
        self.advance_producers(now);
        self.advance_exports(now);
    }

    /// Starts what only producers need, once all inputs and recorders have their threads, and
    /// retries what could not start. Inputs and recorders go on meanwhile.
    fn advance_producers(&mut self, now: Instant) {
        for (wanted, stats) in self.wanted.iter_mut().zip(&mut self.stats) {
            let Run::Running(pipeline) = &mut wanted.run else { continue };
            if !pipeline.lacks(Late::Producer) || wanted.producer_at.is_some_and(|at| now < at) {
                continue;
            }
            let id = &wanted.camera.id;
            match pipeline.start_late(Late::Producer) {
                Ok(()) => {
                    if stats.producer_has_started() {
                        tracing::info!(camera = %id, "its producer has started");
                    }
                    wanted.producer_at = None;
                    wanted.producer_backoff.reset();
                    wanted.lacks_resources = false;
                }
                Err(error) => {
                    if stats.producer_cannot_start(&error) {
                        tracing::error!(camera = %id, "runs without its producer, which can't start: {error}; trying again");
                    }
                    wanted.producer_at = Some(now + wanted.producer_backoff.failed());
                    wanted.lacks_resources = is_shortage(&error);
                }
            }
        }
    }

    /// Starts what only exports need, once all recorders and producers have their threads.
    fn advance_exports(&mut self, now: Instant) {
        // Before the supervisor has sent the cameras, none has its threads.
        if self.wanted.is_empty() {
            return;
        }
        if let Some(short) = self.wanted.iter().find(|wanted| wanted.lacks_resources) {
            let id = &short.camera.id;
            let words = format!(
                "exports wait: camera {id} still lacks a thread, a file descriptor or memory to record or produce"
            );
            self.parts.put_off_frame_path(&words);
            self.running_without_export().for_each(|(_, stats)| {
                stats.refuse_export(&words);
            });
            return;
        }
        self.parts.look_after_frame_path(now);
        if self.exports_at.is_some_and(|at| now < at) {
            return;
        }
        let mut failed = None;
        for (pipeline, stats) in self.running_without_export() {
            match pipeline.start_late(Late::Export) {
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

    /// Running cameras whose parts for exports have not started.
    fn running_without_export(
        &mut self,
    ) -> impl Iterator<Item = (&mut Pipeline, &mut CameraStats)> {
        let all = self.wanted.iter_mut().zip(&mut self.stats);
        all.filter_map(|(wanted, stats)| match &mut wanted.run {
            Run::Running(pipeline) if pipeline.lacks(Late::Export) => Some((pipeline, stats)),
            _ => None,
        })
    }

    /// Ends them all, and the frame path; returns those that did not end in time. All are asked
    /// before any is waited for: one that hangs in a call delays none of the others.
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
            self.parts.ends().clear();
            for (_, pipeline) in ending.extract_if(.., |(_, pipeline)| pipeline.is_over()) {
                pipeline.join();
            }
            let left = until.saturating_duration_since(Instant::now());
            if ending.is_empty() || left.is_zero() {
                break;
            }
            self.parts.ends().wait(left);
        }
        // Even if a camera hangs: its files are removed, and what it holds of them stays valid for
        // it.
        self.parts.stop();
        ending.into_iter().map(|(id, _)| id.to_string()).collect()
    }
}

/// Readable when a thread of a camera has ended.
impl AsFd for Cameras {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.parts.ends().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_threads_descriptors_or_memory_is_a_shortage_and_no_other_failure_is() {
        for errno in [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert!(is_shortage(&errno.into()), "{errno}");
        }
        for other in [Errno::CONNREFUSED.into(), io::Error::other("no sockets yet")] {
            assert!(!is_shortage(&other), "{other}");
        }
    }
}
