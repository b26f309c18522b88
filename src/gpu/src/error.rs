//! What the driver answers when a call fails.

use std::ffi::{CStr, c_uint};

/// A call of the driver that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{function} failed: {} ({code})", .name.unwrap_or("an error that the driver has no name for"))]
pub struct CudaError {
    /// The function, such as `cuMemcpy2DAsync_v2`.
    pub function: &'static str,
    /// Its `CUresult`. A number: a driver may know errors that were not there when this was built.
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
