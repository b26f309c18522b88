//! The simulated device, tried by FFmpeg 5.1, by cudarc 0.19, and by programs that do it wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cudarc_safe;
mod driver;
mod faults;
mod ffmpeg;
mod kernels;
mod limits;
mod many;
mod misuse;
mod nvdec;
mod pinning;
mod streams;
