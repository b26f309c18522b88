//! The simulated VA-API driver, tried by Debian's FFmpeg and by calls through libva.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clip;
mod faults;
mod ffmpeg;
mod in_process;
mod many;
mod misuse;
mod va;
