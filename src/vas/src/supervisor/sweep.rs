//! Removes what dead shards have left in the export directory.

use vas_config::Export;
use vas_frame::CameraId;
use vas_threads::caught;

/// Removes the files of these cameras; those of a live process stay.
pub(super) fn sweep(config: &Export, ids: Vec<&CameraId>) {
    // A fault here must not end the service.
    match caught(|| vas_frame::sweep(&config.dir, config.access(), ids)) {
        Ok(Ok(failed)) => {
            for (id, error) in failed {
                tracing::warn!(camera = %id, "can't remove its export: {error}");
            }
        }
        Ok(Err(error)) => tracing::warn!("can't remove what was exported: {error}"),
        Err(words) => tracing::error!("internal error while removing what was exported: {words}"),
    }
}
