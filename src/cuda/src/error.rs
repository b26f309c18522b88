//! The driver's answers when a call fails.

use std::ffi::{CStr, c_uint};

/// Answers that callers distinguish, as `cuda.h` numbers them.
pub mod code {
    /// `CUDA_SUCCESS`.
    pub const SUCCESS: u32 = 0;
    /// `CUDA_ERROR_OUT_OF_MEMORY`.
    pub const OUT_OF_MEMORY: u32 = 2;
    /// `CUDA_ERROR_NO_DEVICE`.
    pub const NO_DEVICE: u32 = 100;
    /// `CUDA_ERROR_NOT_READY`: no failure, but an answer.
    pub const NOT_READY: u32 = 600;
    /// `CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED`: a process can pin pages only once.
    pub const ALREADY_REGISTERED: u32 = 712;
    /// `CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE`.
    pub const PRIMARY_CONTEXT_ACTIVE: u32 = 708;
}

/// A driver call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{function} failed: {} ({code})", .name.unwrap_or("an error that the driver has no name for"))]
pub struct CudaError {
    /// The function, such as `cuMemcpy2DAsync_v2`.
    pub function: &'static str,
    /// Its `CUresult`, as a number: a driver may return errors that are newer than this build.
    pub code: c_uint,
    /// The driver's name for it, such as `CUDA_ERROR_OUT_OF_MEMORY`.
    pub name: Option<&'static str>,
}

impl CudaError {
    /// `name` is the answer of `cuGetErrorName`, whose text is part of the driver.
    pub(crate) fn new(function: &'static str, code: c_uint, name: Option<&'static CStr>) -> Self {
        Self { function, code, name: name.and_then(|name| name.to_str().ok()) }
    }
}

/// Why this host can't use a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No driver is installed, or the container has no access to it.
    #[error("the NVIDIA driver's library libcuda.so.1 is not found")]
    NoLibrary,
    /// The driver is too old, or the library is not NVIDIA's.
    #[error("the NVIDIA driver's library has no {0}: it is too old, or not NVIDIA's")]
    MissingSymbol(&'static str),
    /// The driver finds no GPU, or none that this process may use.
    #[error("the NVIDIA driver finds no GPU ({0})")]
    NoDevice(CudaError),
    /// The driver does not start.
    #[error("the NVIDIA driver does not start: {0}")]
    Failed(#[source] CudaError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_failed_and_how() {
        let known = CudaError::new("cuInit", 100, Some(c"CUDA_ERROR_NO_DEVICE"));
        assert_eq!(known.to_string(), "cuInit failed: CUDA_ERROR_NO_DEVICE (100)");
        let unknown = CudaError::new("cuInit", 4711, None);
        assert!(unknown.to_string().ends_with("has no name for (4711)"), "{unknown}");
    }
}
