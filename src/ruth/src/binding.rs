//! What an agent knows of its camera's frame export.

use alloc::string::String;

use crate::id::CameraId;

/// Describes the frame export of one camera in one epoch.
///
/// It is a reference for models that will open the export themselves, read-only. Nothing here opens,
/// maps or looks at what it names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrameBinding {
    /// The camera's folder in the export, such as `/dev/shm/vas/gate`.
    pub path: String,
    /// The epoch that the rest is about.
    pub epoch: u64,
    /// Visible width of its frames in pixels.
    pub width: u32,
    /// Visible height of its frames in pixels.
    pub height: u32,
}

impl FrameBinding {
    /// Whether the path is that of this camera's export: its last part is the camera's id.
    pub(crate) fn is_of(&self, camera: &CameraId) -> bool {
        self.path.rsplit('/').next() == Some(camera.as_str())
    }
}
