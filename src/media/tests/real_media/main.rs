//! vas-media against real media and real sockets: clips that the `ffmpeg` command line makes, and
//! its own output as the reference.
//!
//! Needs `ffmpeg` with libx264 and libx265 in the PATH; a machine without it fails these tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod camera;
mod clips;
mod converting;
mod decoding;
mod encoding;
mod local;
mod logging;
mod recording;
