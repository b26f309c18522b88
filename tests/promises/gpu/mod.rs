//! The service on NVIDIA GPUs: simulated ones, whose driver FFmpeg and the service load as they would the real.

mod encoding;
mod flag;
mod ladder;
mod many;
mod pictures;
mod placement;
mod slow_copies;

use serde_json::Value;
use vas_sim_gpu::testing::Session;
use vas_tests::clip::Clip;
use vas_tests::service::Service;

/// A clip that every GPU decodes.
fn clip(frames: u32) -> Clip {
    Clip { encoder: "libx264", size: "320x192", pixels: "yuv420p", range: "tv", frames }
}

/// A `[[camera]]` of the config.
fn camera(id: &str, url: &str, more: &str) -> String {
    format!("[[camera]]\nid = {id:?}\nurl = {url:?}\n{more}\n")
}

/// Whether a camera's status says that a GPU decodes it.
fn on_gpu(camera: &Value) -> bool {
    camera["decoder"]["kind"] == "nvdec"
}

/// Why a camera's status says that no GPU decodes it.
fn why(camera: &Value) -> &str {
    camera["decoder"]["why"].as_str().unwrap_or("nothing")
}

/// Stops the service and looks at what it did with the driver.
fn stop_cleanly(mut service: Service, gpus: &Session) {
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    gpus.report().assert_clean(&[]);
}
