//! Cameras over RTSP against a real server, GStreamer's, with FFmpeg as the judge of pictures.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod churn;
mod clips;
mod conformance;
mod frames;
mod loss;
mod rig;
