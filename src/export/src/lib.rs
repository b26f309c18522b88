//! The frame path: everything that `AI_FRAME_EXPORT_ENABLED` guards. With the flag off no value of this
//! module exists.
//!
//! `Tap` runs on a camera's decode thread: admit, claim a slot, hand over, go on. An engine brings the
//! picture into its slot (`download::Download`): the host's `Pool`, or that of the GPU on which it was decoded.
//! `Keeper` opens rings, starts engines, and looks after both. Frames and slots travel between them
//! through bounded queues that were filled before the first frame: once running, nothing is allocated.

mod ages;
mod base;
mod closer;
mod cuda;
mod download;
mod engines;
mod facts;
mod gates;
mod idle;
mod keeper;
mod lane;
mod limits;
mod mend;
mod pool;
mod tap;
mod ways;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vas_frame::{CameraExport, CameraId, ExportError, Notifier};

pub(crate) use ages::{AgeCounts, Ages};
use base::open_root;
pub(crate) use facts::ExportFacts;
use keeper::Keeper;
use lane::{HostLane, Lane};
pub(crate) use limits::EXTRA_SURFACES;
use mend::Panics;
use pool::Pool;
pub(crate) use tap::Tap;
use tap::Wants;
use ways::Ways;

use crate::config::{Camera, Export, WhenIdle};
use crate::pipeline::{Backoff, Demand, Shown};

/// The parts of the frame path that all cameras share. Whatever of it can't be had, or fails, costs exports only:
/// it is there as a value all the same, says so, and asks again.
#[derive(Debug)]
pub(crate) struct FramePath {
    pool: Pool,
    keeper: Keeper,
    panics: Arc<Panics>,
    /// Why threads are missing, and when to ask for them again.
    refused: Option<String>,
    backoff: Backoff,
    at: Option<Instant>,
}

/// What the frame path could not be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FramePathError {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("can't start a thread of the frame path: {0}")]
    Thread(#[from] std::io::Error),
}

impl FramePath {
    /// A frame path without its threads: [`look_after`](Self::look_after) starts them.
    pub(crate) fn new(config: &Export) -> Self {
        let panics = Arc::<Panics>::default();
        Self {
            pool: Pool::new(Arc::clone(&panics)),
            keeper: Keeper::new(config, Arc::clone(&panics)),
            panics,
            refused: None,
            backoff: Backoff::seeded(RandomState::new().hash_one(&config.dir)),
            at: None,
        }
    }

    #[cfg(test)]
    fn started(config: &Export) -> Self {
        let mut path = Self::new(config);
        path.look_after(Instant::now());
        path
    }

    /// Has the threads that are missing started, if it is time to. To be called about once a second.
    pub(crate) fn look_after(&mut self, now: Instant) {
        let is_whole = self.pool.is_whole() && self.keeper.runs();
        if is_whole || self.at.is_some_and(|at| now < at) {
            return;
        }
        match self.start_threads() {
            Ok(()) => {
                self.backoff.begin_again();
                (self.refused, self.at) = (None, None);
            }
            Err(error) => {
                self.at = Some(now + self.backoff.failed(Duration::ZERO));
                self.refuse(&FramePathError::from(error).to_string());
            }
        }
    }

    /// With one worker frames are copied, if more slowly.
    fn start_threads(&mut self) -> std::io::Result<()> {
        let workers = self.pool.start_missing();
        if self.pool.works() {
            self.keeper.start()?;
        }
        workers
    }

    /// Says why threads are not there, of all cameras that wait for them.
    pub(crate) fn refuse(&mut self, words: &str) {
        if self.refused.as_deref() != Some(words) {
            tracing::error!("{words}; trying again");
            self.refused = Some(words.to_owned());
        }
        self.keeper.refuse_waiting(words);
    }

    /// Makes a camera's tap, and what shows its export. `demand` will be told of its readers.
    pub(crate) fn add(
        &self,
        camera: &Camera,
        shown: &Arc<Shown>,
        demand: &Arc<Demand>,
    ) -> (Tap, Arc<ExportFacts>) {
        let door = self.keeper.add(camera.id.clone(), shown, Arc::clone(demand));
        let facts = door.facts();
        if let Some(words) = self.refused.as_ref().filter(|_| !self.keeper.runs()) {
            facts.refuse(words);
        }
        let lane = Arc::new(Lane::new(door.account()));
        let wants = Wants { ring_ready: camera.idle == WhenIdle::Decode, max_fps: camera.max_fps };
        let ways = Ways::new(HostLane::new(lane, self.pool.entrance()), door.in_use());
        (Tap::new(Arc::clone(shown), ways, door, Arc::clone(demand), wants), facts)
    }

    /// Takes a camera's export away, with its files, once its decode thread has ended. The camera may then be
    /// added again.
    pub(crate) fn remove(&self, camera: &CameraId) {
        self.keeper.remove(camera.clone());
    }

    /// Panics of its threads that it got over.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.count() + Notifier::panics()
    }

    /// Ends it all, once the decode threads have ended: copies in flight are finished, files removed.
    pub(crate) fn stop(self) {
        self.pool.stop();
        self.keeper.stop();
    }
}

/// Removes what a process that died has left of `cameras`. What belongs to a living one stays.
pub(crate) fn sweep<'a>(config: &Export, cameras: impl IntoIterator<Item = &'a CameraId>) {
    let left: Vec<_> =
        cameras.into_iter().filter(|id| config.dir.join(id.as_str()).exists()).collect();
    if left.is_empty() {
        return;
    }
    // Whoever sweeps has other things to do, too, which no fault here may end.
    let panics = Panics::default();
    let swept = panics.over("sweep", None, || -> Result<(), FramePathError> {
        let root = Arc::new(open_root(config)?);
        let notifier = Arc::new(Notifier::start()?);
        for id in left {
            match CameraExport::claim(&root, id, &notifier) {
                // Dropping it removes the files.
                Ok(_) | Err(ExportError::Held { .. }) => {}
                Err(error) => tracing::warn!(camera = %id, "can't remove its export: {error}"),
            }
        }
        Ok(())
    });
    if let Some(Err(error)) = swept {
        tracing::warn!("can't remove what was exported: {error}");
    }
}

#[cfg(test)]
mod handover;
#[cfg(test)]
mod tests;
