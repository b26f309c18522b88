//! The shared library under the names by which FFmpeg and cudarc look for it.

use std::path::PathBuf;

use vas_sim_common::testing;

/// The names that FFmpeg and cudarc load.
const NAMES: [&str; 3] = ["libcuda.so", "libcuda.so.1", "libnvcuvid.so.1"];

/// The simulated device's library, which Cargo built for the running test.
///
/// # Panics
/// If it is not beside the running program: only a test that depends on this crate has it.
pub fn library() -> PathBuf {
    testing::library("libvas_sim_gpu.so")
}

/// A directory for `LD_LIBRARY_PATH`, `sim-gpu` beside the library's own, with the device under each
/// name.
///
/// # Panics
/// If it can't be created.
pub fn library_dir() -> PathBuf {
    testing::install(&library(), "sim-gpu", &NAMES)
}
