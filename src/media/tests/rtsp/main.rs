//! RTSP clients against GStreamer's server, with pictures compared to FFmpeg's.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod churn;
mod clips;
mod coalescing;
mod conformance;
mod frames;
mod loss;
mod rig;
