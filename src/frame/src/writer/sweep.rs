//! Removing what dead writers have left.

use std::path::Path;
use std::sync::Arc;

use super::{Access, CameraExport, ExportRoot, Notifier};
use crate::camera_id::CameraId;
use crate::error::ExportError;

/// Removes what dead writers have left of cameras in the export directory `dir`. Files of a live writer stay.
///
/// Returns the cameras whose files could not be removed.
///
/// # Errors
/// The directory can't be used, for example because it belongs to another user.
pub fn sweep<'a>(
    dir: &Path,
    access: Access,
    cameras: impl IntoIterator<Item = &'a CameraId>,
) -> Result<Vec<(&'a CameraId, ExportError)>, ExportError> {
    let left: Vec<_> = cameras.into_iter().filter(|id| dir.join(id.as_str()).exists()).collect();
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let root = Arc::new(ExportRoot::open(dir, access)?);
    let notifier =
        Notifier::start().map_err(|error| ExportError::io("start a thread for", dir, error))?;
    let notifier = Arc::new(notifier);
    let mut failed = Vec::new();
    for id in left {
        match CameraExport::claim(&root, id, &notifier) {
            // Dropping it removes the files.
            Ok(_) | Err(ExportError::Held { .. }) => {}
            Err(error) => failed.push((id, error)),
        }
    }
    Ok(failed)
}
