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
mod facts;
mod gates;
mod idle;
mod keeper;
mod lane;
mod limits;
mod pool;
mod tap;
mod ways;

use std::sync::Arc;

use vas_frame::{Access, CameraExport, CameraId, ExportError, ExportRoot, Notifier};

pub(crate) use ages::{AgeCounts, Ages};
pub(crate) use facts::ExportFacts;
use keeper::Keeper;
use lane::{HostLane, Lane};
pub(crate) use limits::EXTRA_SURFACES;
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
        let root = Arc::new(open_root(config)?);
        let notifier = Arc::new(Notifier::start()?);
        let keeper = Keeper::start(root, notifier, config)?;
        Ok(Self { pool: Pool::start()?, keeper })
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

    /// Takes a camera's export away, with its files, once its decode thread has ended. The camera may then be
    /// added again.
    pub(crate) fn remove(&self, camera: &CameraId) {
        self.keeper.remove(camera.clone());
    }

    /// Ends it all, once the decode threads have ended: copies in flight are finished, files removed.
    pub(crate) fn stop(self) {
        self.pool.stop();
        self.keeper.stop();
    }
}

fn open_root(config: &Export) -> Result<ExportRoot, ExportError> {
    let access = Access {
        group: config.group.as_ref().map(|group| group.id),
        file_mode: config.mode.file_bits(),
    };
    ExportRoot::open(&config.dir, access)
}

/// Removes what a process that died has left of `cameras`. What belongs to a living one stays.
pub(crate) fn sweep<'a>(config: &Export, cameras: impl IntoIterator<Item = &'a CameraId>) {
    let left: Vec<_> =
        cameras.into_iter().filter(|id| config.dir.join(id.as_str()).exists()).collect();
    if left.is_empty() {
        return;
    }
    let swept = || -> Result<(), FramePathError> {
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
    };
    if let Err(error) = swept() {
        tracing::warn!("can't remove what was exported: {error}");
    }
}

#[cfg(test)]
mod handover;
#[cfg(test)]
mod tests;
