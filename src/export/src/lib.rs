//! The frame path: everything that `AI_FRAME_EXPORT_ENABLED` guards. With the flag off no value of
//! this crate exists.
//!
//! `Tap` runs on a camera's decode thread: admit, claim a slot, hand over, return. An engine brings
//! the picture into its slot (`download::Download`): the host's `Pool`, or the engine of the GPU on
//! which it was decoded. `RingManager` opens rings, starts engines and maintains both. Frames and
//! slots pass between them through bounded queues that are filled before the first frame: once
//! running, nothing is allocated.

#![forbid(unsafe_code)]

mod copy_queue;
mod cuda;
mod deferred_drop;
mod download;
mod engines;
mod frame_pool;
mod gates;
mod host;
mod panics;
mod resources;
mod ring_manager;
mod routes;
mod sizing;
mod stats;
mod tap;
mod vaapi;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Instant;

use vas_backoff::Backoff;
use vas_config::{Camera, Export, WhenIdle};
use vas_frame::{CameraId, Notifier};
use vas_pipeline::{Demand, Exported, Exporter, FrameSink, InputStats};

use copy_queue::CopyQueue;
use host::{HostCopyQueue, Pool};
use panics::Panics;
use resources::FramePathError;
use ring_manager::RingManager;
use routes::Routes;
use stats::ExportStats;
use tap::{Tap, Wants};

/// The parts of the frame path that all cameras share. A part that is missing or fails costs
/// exports only: this value exists all the same, reports the fault and retries.
#[derive(Debug)]
pub struct FramePath {
    pool: Pool,
    ring_manager: RingManager,
    panics: Arc<Panics>,
    /// Why threads are missing, and when to try again.
    refused: Option<String>,
    backoff: Backoff,
    at: Option<Instant>,
}

impl FramePath {
    /// A frame path without its threads: [`look_after`](Exporter::look_after) starts them.
    pub fn new(config: &Export) -> Self {
        let panics = Arc::<Panics>::default();
        Self {
            pool: Pool::new(Arc::clone(&panics)),
            ring_manager: RingManager::new(config, Arc::clone(&panics)),
            panics,
            refused: None,
            backoff: Backoff::jittered(RandomState::new().hash_one(&config.dir)),
            at: None,
        }
    }

    #[cfg(test)]
    fn started(config: &Export) -> Self {
        let mut path = Self::new(config);
        path.look_after(Instant::now());
        path
    }

    fn end(self) {
        self.pool.stop();
        self.ring_manager.stop();
    }

    fn tap(
        &self,
        camera: &Camera,
        input_stats: &Arc<InputStats>,
        demand: &Arc<Demand>,
    ) -> (Tap, Arc<ExportStats>) {
        let handle = self.ring_manager.add(camera.id.clone(), input_stats, Arc::clone(demand));
        let stats = handle.stats();
        if let Some(words) = self.refused.as_ref().filter(|_| !self.ring_manager.runs()) {
            stats.refuse(words);
        }
        let copy_queue = Arc::new(CopyQueue::new(handle.account()));
        let wants = Wants {
            ring_ready: camera.idle == WhenIdle::Decode,
            max_fps: camera.max_fps,
            size: camera.export_size,
        };
        let routes =
            Routes::new(HostCopyQueue::new(copy_queue, self.pool.submitter()), handle.in_use());
        (Tap::new(Arc::clone(input_stats), routes, handle, Arc::clone(demand), wants), stats)
    }

    /// One worker is enough to copy frames, if more slowly.
    fn start_threads(&mut self) -> std::io::Result<()> {
        let workers = self.pool.start_missing();
        if self.pool.works() {
            self.ring_manager.start()?;
        }
        workers
    }
}

impl Exporter for FramePath {
    fn look_after(&mut self, now: Instant) {
        let is_whole = self.pool.is_whole() && self.ring_manager.runs();
        if is_whole || self.at.is_some_and(|at| now < at) {
            return;
        }
        match self.start_threads() {
            Ok(()) => {
                self.backoff.reset();
                (self.refused, self.at) = (None, None);
            }
            Err(error) => {
                self.at = Some(now + self.backoff.failed());
                self.refuse(&FramePathError::from(error).to_string());
            }
        }
    }

    fn refuse(&mut self, words: &str) {
        if self.refused.as_deref() != Some(words) {
            tracing::error!("{words}; trying again");
            self.refused = Some(words.to_owned());
        }
        self.ring_manager.refuse_waiting(words);
    }

    fn add(
        &self,
        camera: &Camera,
        stats: &Arc<InputStats>,
        demand: &Arc<Demand>,
    ) -> (Box<dyn FrameSink>, Arc<dyn Exported>) {
        let (tap, stats) = self.tap(camera, stats, demand);
        (Box::new(tap), stats)
    }

    fn remove(&self, camera: &CameraId) {
        self.ring_manager.remove(camera.clone());
    }

    fn panics(&self) -> u64 {
        self.panics.count() + Notifier::panics()
    }

    fn stop(self: Box<Self>) {
        (*self).end();
    }
}

#[cfg(test)]
mod tests;
