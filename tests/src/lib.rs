//! Shared by the promise tests: clips, a camera, the service, readers, and FFmpeg as the reference.
//!
//! All parts are real: GStreamer's RTSP server, the `vas` binary, FFmpeg's command line. Helpers
//! panic with what they saw: a test that can't be set up fails.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod bare;
pub mod camera;
pub mod clip;
pub mod recording;
pub mod scripted;
pub mod service;
pub mod sockets;
pub mod watcher;
