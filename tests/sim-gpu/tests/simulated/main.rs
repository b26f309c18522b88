//! Tests of the simulated device, with FFmpeg 5.1, cudarc 0.19, and programs that misuse it.
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
mod our_kernels;
mod pinning;
mod streams;
