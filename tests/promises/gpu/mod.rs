//! The service on simulated NVIDIA GPUs, whose driver FFmpeg and the service load like the real one.

mod admission;
mod encoding;
mod flag;
mod ladder;
mod many;
mod pictures;
mod placement;
mod planned;
mod slow_copies;

use serde_json::Value;
use vas_sim_gpu::testing::Session;
use vas_tests::clip::Clip;
use vas_tests::service::Service;

/// A clip that every simulated GPU decodes.
fn clip(frames: u32) -> Clip {
    Clip { encoder: "libx264", size: "320x192", pixels: "yuv420p", range: "tv", frames }
}

/// A `[[camera]]` of the config.
fn camera(id: &str, url: &str, more: &str) -> String {
    format!("[[camera]]\nid = {id:?}\nurl = {url:?}\n{more}\n")
}

/// Whether a GPU decodes a camera, by its status.
fn on_gpu(camera: &Value) -> bool {
    camera["decoder"]["kind"] == "nvdec"
}

/// Why no GPU decodes a camera, by its status.
fn why(camera: &Value) -> &str {
    camera["decoder"]["why"].as_str().unwrap_or("nothing")
}

/// Stops the service and checks its use of the driver.
fn stop_cleanly(mut service: Service, gpus: &Session) {
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    gpus.report().assert_clean(&[]);
}
