//! The shared library under the names by which libva and libavutil look for it.

use std::path::PathBuf;

use vas_sim_common::testing;

/// The driver that libva loads, and the library from which libavutil gets a display.
const NAMES: [&str; 2] = ["sim_drv_video.so", "libva-drm.so.2"];

/// The simulated driver's library, which Cargo built for the running test.
///
/// # Panics
/// If it is not beside the running program: only a test that depends on this crate has it.
pub fn library() -> PathBuf {
    testing::library("libvas_sim_vaapi.so")
}

/// A directory for `LD_LIBRARY_PATH` and `LIBVA_DRIVERS_PATH`, `sim-vaapi` beside the library's own.
///
/// # Panics
/// If it can't be created.
pub fn library_dir() -> PathBuf {
    testing::install(&library(), "sim-vaapi", &NAMES)
}
