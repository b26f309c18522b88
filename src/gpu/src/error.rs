//! Why an engine does not start.

use std::io;

use vas_cuda::CudaError;

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system has no thread for it.
    #[error("can't start a thread of the download engine: {0}")]
    Thread(#[from] io::Error),
    /// The driver refuses a resource that it needs.
    #[error("can't start the download engine: {0}")]
    Cuda(#[from] CudaError),
    /// Its thread ended before it reported anything.
    #[error("the download engine's thread ended during its start")]
    Ended,
}
