//! An agent's description of its camera's frame export.

use alloc::string::String;

use crate::id::CameraId;

/// Describes the frame export of one camera in one epoch.
///
/// Models use it to open the export themselves, read-only. Nothing here opens, maps or checks what
/// it names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrameBinding {
    /// The camera's folder in the export, such as `/dev/shm/vas/gate`.
    pub path: String,
    /// The epoch that the size belongs to.
    pub epoch: u64,
    /// Visible width of its frames in pixels.
    pub width: u32,
    /// Visible height of its frames in pixels.
    pub height: u32,
}

impl FrameBinding {
    /// Whether the path belongs to this camera's export: its last component is the camera's id.
    pub(crate) fn is_of(&self, camera: &CameraId) -> bool {
        self.path.rsplit('/').next() == Some(camera.as_str())
    }
}
