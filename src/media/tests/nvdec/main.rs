//! NVDEC through FFmpeg on simulated devices (tests/sim-gpu): compares pictures with predictions and
//! with ffmpeg's own download, and tests failures of the device.
//!
//! Needs `ffmpeg` with libx264 and libx265 in the PATH. These tests prove nothing about real GPUs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod absence;
mod clips;
mod download;
mod encoding;
mod failing;
mod falling_back;
mod pictures;
mod sharing;
