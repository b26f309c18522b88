//! Errors of the frame path.

use vas_frame::ExportError;

/// What the frame path could not get.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FramePathError {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("can't start a thread of the frame path: {0}")]
    Thread(#[from] std::io::Error),
}
