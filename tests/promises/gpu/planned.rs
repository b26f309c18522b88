//! A decoder's surfaces take what `vas plan` says: within its span before the stream is known, and exactly that after.

use std::process::Command;

use serde_json::Value;
use vas_sim_gpu::testing::SimulatedGpu;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Service, vas};

use super::{camera, on_gpu, stop_cleanly};

fn plan(arguments: &[&str]) -> Value {
    let output =
        Command::new(vas()).args(["plan", "--json", "--gpu", "l4"]).args(arguments).output();
    let output = output.unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {words}"))
}

fn span(plan: &Value) -> [u64; 2] {
    ["least", "most"].map(|end| plan["kinds"][0]["each"]["device_bytes"][end].as_u64().unwrap())
}

fn takes_what_was_planned(encoder: &'static str, codec: &str, size: &'static str) {
    let clip = Clip { encoder, size, pixels: "yuv420p", range: "tv", frames: 60 };
    let rtsp = Camera::start(&[&clip.make()], "");
    let gpus = SimulatedGpu::new().start();
    let cameras = camera("gate", &rtsp.url(), "idle = \"decode\"");
    let mut service = Service::start_on(&gpus, "true", "", &cameras, &[]);
    let report = service
        .until_of(0, "the GPU", |camera| on_gpu(camera) && camera["decoder"]["gpu_bytes"].is_u64());
    let bytes = report["decoder"]["gpu_bytes"].as_u64().unwrap();
    let before = plan(&["--cameras", "1", "--codec", codec, "--size", size, "--fps", "10"]);
    let [least, most] = span(&before);
    assert!((least..=most).contains(&bytes), "{bytes} of {least} to {most}");
    let config = service.work().join("vas.toml");
    let now = plan(&["--config", config.to_str().unwrap()]);
    assert_eq!(span(&now), [bytes; 2], "{now:#}");
    let kind = &now["kinds"][0];
    assert_eq!((&kind["codec"], &kind["basis"]), (&codec.into(), &"status".into()));
    stop_cleanly(service, &gpus);
}

/// Surfaces of 10 bits are within what is planned for H.265, and a scaled export takes one converted picture.
#[test]
fn a_converted_picture_takes_what_was_planned() {
    let (size, pixels) = ("854x482", "yuv420p10le");
    let clip = Clip { encoder: "libx265", size, pixels, range: "tv", frames: 60 };
    let rtsp = Camera::start(&[&clip.make()], "");
    let gpus = SimulatedGpu::new().start();
    let more = "idle = \"decode\"\nexport.width = 320";
    let cameras = camera("gate", &rtsp.url(), more);
    let mut service = Service::start_on(&gpus, "true", "", &cameras, &[]);
    let report = service
        .until_of(0, "the GPU", |camera| on_gpu(camera) && camera["decoder"]["gpu_bytes"].is_u64());
    let bytes = report["decoder"]["gpu_bytes"].as_u64().unwrap();
    let before = plan(&["--cameras", "1", "--codec", "h265", "--size", size, "--fps", "10"]);
    let [least, most] = span(&before);
    assert!((least..=most).contains(&bytes), "{bytes} of {least} to {most}");
    let config = service.work().join("vas.toml");
    let now = plan(&["--config", config.to_str().unwrap()]);
    let scratch = &now["kinds"][0]["each"]["scratch_bytes"];
    assert_eq!(scratch["least"], scratch["most"]);
    service.until_read("gate");
    let calls = gpus.calls();
    let allocated = calls.iter().filter(|call| call.function == "cuMemAlloc_v2");
    let allocated: Vec<u64> = allocated.map(|call| call.bytes).collect();
    assert_eq!(allocated, [scratch["least"].as_u64().unwrap()]);
    stop_cleanly(service, &gpus);
}

#[test]
fn surfaces_of_h264_take_what_was_planned() {
    takes_what_was_planned("libx264", "h264", "320x192");
}

#[test]
fn surfaces_of_h265_take_what_was_planned() {
    takes_what_was_planned("libx265", "h265", "854x482");
}
