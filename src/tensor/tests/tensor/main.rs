//! The crate's promises, each against the real part.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod camera;
mod frames;
mod pool;
mod positions;
mod refusals;
mod swscale;
