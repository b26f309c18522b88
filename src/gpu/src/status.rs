//! What an engine says of itself.

use vas_cuda::CudaError;

/// How an engine does: for status and logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Rings that copies go into straight.
    pub pinned_rings: usize,
    /// Bytes of them.
    pub pinned_bytes: usize,
    /// Rings that could not be pinned: their frames come down into memory of the driver's and are copied
    /// once more by the CPU.
    pub staged_rings: usize,
    /// Bytes of that memory.
    pub staging_bytes: usize,
    /// Why a ring was last not pinned.
    pub not_pinned: Option<CudaError>,
    /// What the driver answered when the device was found lost.
    pub lost: Option<CudaError>,
}
