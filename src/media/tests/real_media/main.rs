//! Tests vas-media with real media and real sockets: clips encoded by the `ffmpeg` command line, and
//! its output as the reference.
//!
//! Needs `ffmpeg` with libx264 and libx265 in the PATH; the tests fail without it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod camera;
mod clips;
mod converting;
mod decoding;
mod encoding;
mod local;
mod logging;
mod recording;
