//! What shards do for tests only.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Further sinks of decoded frames, independent of the export flag, so that decoding with the flag on and off can be
/// compared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TestHooks {
    /// Write `CAMERA.frames` to this folder: a line with PTS, size, format and MD5 for each decoded frame.
    pub frame_log: Option<PathBuf>,
    /// Spend this long, in milliseconds, on each frame on the decode thread.
    pub decode_delay_ms: Option<u64>,
}

impl TestHooks {
    /// Whether each camera that may be exported is decoded for a test.
    pub fn take_frames(&self) -> bool {
        self.frame_log.is_some() || self.decode_delay_ms.is_some()
    }
}
