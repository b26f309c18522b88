//! The frame path: everything that `AI_FRAME_EXPORT_ENABLED` guards. With the flag off no value of this
//! module exists.
//!
//! `Tap` runs on a camera's decode thread: admit, claim a slot, hand over, go on. An engine brings the
//! picture into its slot (`download::Download`): the host's `Pool`, or that of the GPU on which it was decoded.
//! `Keeper` opens rings, starts engines, and looks after both. Frames and slots travel between them
//! through bounded queues that were filled before the first frame: once running, nothing is allocated.

mod ages;
mod closer;
mod cuda;
mod download;
mod engines;
mod gates;
mod idle;
mod keeper;
mod lane;
mod pool;
mod tap;
mod ways;

use std::sync::Arc;

use vas_frame::{Access, ExportError, ExportRoot, Notifier};

pub(crate) use ages::{AgeCounts, Ages};
pub(crate) use download::EXTRA_SURFACES;
pub(crate) use engines::LostGpus;
pub(crate) use keeper::ExportFacts;
use keeper::Keeper;
use lane::{HostLane, Lane};
use pool::Pool;
pub(crate) use tap::Tap;
use tap::Wants;
use ways::Ways;

use crate::config::{Camera, Export, WhenIdle};
use crate::pipeline::{Demand, Shown};

/// The parts of the frame path that all cameras share.
#[derive(Debug)]
pub(crate) struct FramePath {
    pool: Pool,
    keeper: Keeper,
    lost_gpus: Arc<LostGpus>,
}

/// Why the frame path could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FramePathError {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("can't start a thread of the frame path: {0}")]
    Thread(#[from] std::io::Error),
}

impl FramePath {
    /// Prepares the export directory and starts the shared threads.
    pub(crate) fn start(config: &Export) -> Result<Self, FramePathError> {
        forbid_core_files();
        let access = Access {
            group: config.group.as_ref().map(|group| group.id),
            file_mode: config.mode.file_bits(),
        };
        let root = Arc::new(ExportRoot::open(&config.dir, access)?);
        let notifier = Arc::new(Notifier::start()?);
        let lost_gpus = Arc::new(LostGpus::default());
        let keeper = Keeper::start(root, notifier, config, Arc::clone(&lost_gpus))?;
        Ok(Self { pool: Pool::start()?, keeper, lost_gpus })
    }

    /// The GPUs that turned out to be lost while frames came down from them.
    #[allow(dead_code, reason = "for who opens decoders on GPUs")]
    pub(crate) fn lost_gpus(&self) -> Arc<LostGpus> {
        Arc::clone(&self.lost_gpus)
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
        let lane = Arc::new(Lane::new(door.account()));
        let wants = Wants { ring_ready: camera.idle == WhenIdle::Decode, max_fps: camera.max_fps };
        let ways = Ways::new(HostLane::new(lane, self.pool.entrance()), door.in_use());
        (Tap::new(Arc::clone(shown), ways, door, Arc::clone(demand), wants), facts)
    }

    /// Ends it all, once the decode threads have ended: copies in flight are finished, files removed.
    pub(crate) fn stop(self) {
        self.pool.stop();
        self.keeper.stop();
    }
}

/// Readers learn of a crash when the kernel drops the locks of the dead, which it does only after it has
/// written a core file: 0.8 s for 600 MiB.
fn forbid_core_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(
            "can't forbid core files: {error}; after a crash readers will learn of it late"
        );
    }
}

#[cfg(test)]
mod handover;
#[cfg(test)]
mod tests;
