//! Hooks for tests only: what shards do for them, and what stands in for parts of the system.

use std::path::{Path, PathBuf};

use clap::Args;

/// Options of `vas run` that its help does not show.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TestHooks {
    /// Write `DIR/CAMERA.frames`: a line with PTS, size, format and MD5 for each decoded frame.
    #[arg(long, value_name = "DIR", hide = true)]
    test_frame_log: Option<PathBuf>,
    /// Spend this long, in milliseconds, on each frame on the decode thread.
    #[arg(long, value_name = "MS", hide = true)]
    test_decode_delay: Option<u64>,
    /// Read this folder in place of NVIDIA's /proc/driver/nvidia.
    #[arg(long, value_name = "DIR", hide = true)]
    test_nvidia_proc: Option<PathBuf>,
    /// Run this program, which may be a script, in place of `vas-shard`.
    #[arg(long, value_name = "FILE", hide = true)]
    test_shard_program: Option<PathBuf>,
}

impl TestHooks {
    /// Where NVIDIA's driver lists its GPUs.
    pub(crate) fn nvidia_proc(&self) -> &Path {
        self.test_nvidia_proc.as_deref().unwrap_or(Path::new("/proc/driver/nvidia"))
    }

    /// What to run in place of `vas-shard`.
    pub(crate) fn shard_program(&self) -> Option<&Path> {
        self.test_shard_program.as_deref()
    }

    /// What shards do.
    pub(crate) fn of_shards(&self) -> vas_channel::TestHooks {
        vas_channel::TestHooks {
            frame_log: self.test_frame_log.clone(),
            decode_delay_ms: self.test_decode_delay,
        }
    }
}
