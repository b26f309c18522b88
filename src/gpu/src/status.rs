//! What an engine reports of itself.

use vas_cuda::CudaError;

/// An engine's state, for status and logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Rings that are copied into directly.
    pub pinned_rings: usize,
    /// Bytes of these rings.
    pub pinned_bytes: usize,
    /// Rings that could not be pinned: their frames are staged in the driver's memory and copied
    /// once more by the CPU.
    pub staged_rings: usize,
    /// Bytes of staging memory.
    pub staging_bytes: usize,
    /// Why pinning last failed.
    pub not_pinned: Option<CudaError>,
    /// The driver's answer when the device was found lost.
    pub lost: Option<CudaError>,
}
