//! What becomes of a frame.

use vas_cuda::CudaError;
use vas_frame::Stamp;

/// Why a frame was given up. Its slot holds no frame; older ones stay readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A surface of another size than the slot's.
    #[error("a surface of {0}x{1} pixels does not fit a slot of {2}x{3}")]
    Size(u32, u32, u32, u32),
    /// A call of the driver failed; the device is well otherwise.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The device, or our context on it, is lost.
    #[error("the GPU is lost to this process")]
    DeviceLost,
    /// The engine has stopped.
    #[error("the download engine has stopped")]
    Stopped,
    /// A thread of the engine panicked with it.
    #[error("internal error in the download engine")]
    Internal,
}

/// What became of a submitted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Readers have it.
    Published {
        /// Since when (`CLOCK_MONOTONIC`, nanoseconds).
        at_ns: u64,
        /// It came down into memory of the driver's first, since its ring is not pinned.
        staged: bool,
    },
    /// It was given up.
    Failed(Failure),
}

/// Who is told what became of a camera's frames: each submitted one once, in their order as long as the
/// engine runs.
///
/// Called on the engine's threads, once surface, slot and permit of the frame are free again. Other cameras
/// wait meanwhile, so it is to count and no more.
pub trait Outcomes: Send + Sync {
    /// The frame of this stamp is done with.
    fn settled(&self, stamp: &Stamp, outcome: Outcome);
}
