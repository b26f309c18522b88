//! The outcome of a frame.

use vas_cuda::{CudaError, NoKernels};
use vas_frame::PublishMeta;

/// Why a frame was given up. Its slot holds no frame; older ones stay readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The surface's size differs from the slot's.
    #[error("a surface of {0}x{1} pixels does not fit a slot of {2}x{3}")]
    Size(u32, u32, u32, u32),
    /// The picture must be converted on the device, and can't be.
    #[error("the GPU can't convert the picture: {0}")]
    NotConverted(NoKernels),
    /// A call of the driver failed; the device still works.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The device, or our context on it, is lost.
    #[error("the GPU is lost to this process")]
    DeviceLost,
    /// The engine has stopped.
    #[error("the download engine has stopped")]
    Stopped,
    /// A thread of the engine panicked while it had the frame.
    #[error("internal error in the download engine")]
    Internal,
}

/// The outcome of a submitted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Readers can see it.
    Published {
        /// Time of publication (`CLOCK_MONOTONIC`, nanoseconds).
        at_ns: u64,
        /// It was staged in the driver's memory first, since its ring is not pinned.
        staged: bool,
    },
    /// It was given up.
    Failed(Failure),
}

/// Receives the outcomes of a camera's frames: one for each submitted frame, in their order as long
/// as the engine runs.
///
/// Called on the engine's threads, once surface, slot and permit of the frame are free again. Other
/// cameras wait meanwhile, so it should only count.
pub trait Outcomes: Send + Sync {
    /// The frame that was submitted with `meta` is finished.
    fn settled(&self, meta: &PublishMeta, outcome: Outcome);
}
