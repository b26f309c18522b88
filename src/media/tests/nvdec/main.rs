//! NVDEC through FFmpeg on simulated devices (tests/sim-gpu): pictures as predicted and as ffmpeg's
//! own download gives them, and what happens when the device fails.
//!
//! Needs `ffmpeg` with libx264 and libx265 in the PATH. Nothing here says anything of real GPUs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod absence;
mod clips;
mod download;
mod encoding;
mod failing;
mod falling_back;
mod pictures;
mod sharing;
