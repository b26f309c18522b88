//! The rules of agents and subscriptions, tested through the public interface.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cost;
mod events;
mod interleavings;
mod registry;

use ruth_core::{CameraId, FrameBinding, ModelId, Stamp};

fn camera(name: &str) -> CameraId {
    CameraId::new(name).unwrap()
}

fn model(name: &str) -> ModelId {
    ModelId::new(name).unwrap()
}

fn binding(camera: &CameraId, epoch: u64) -> FrameBinding {
    FrameBinding { path: format!("/dev/shm/vas/{camera}"), epoch, width: 640, height: 360 }
}

fn frame(epoch: u64, frame_id: u64, ms: u64) -> Stamp {
    let now_ns = ms * 1_000_000;
    Stamp { epoch, frame_id, gate_ns: now_ns, published_ns: now_ns }
}
