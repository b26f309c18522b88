//! VA-API through FFmpeg on simulated render nodes (tests/sim-vaapi): compares pictures with predictions and with
//! ffmpeg's own download, and tests failures of the driver.
//!
//! Needs `ffmpeg` with libx264 and libx265 in the PATH. These tests prove nothing about real GPUs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clips;
mod encoding;
mod failing;
mod opening;
mod pictures;
