//! Contract V2 on a GPU: decoding waits for no download, however slow; frames that are not downloaded
//! are counted.

use serde_json::Value;
use vas_sim_gpu::testing::SimulatedGpu;
use vas_tests::service::Service;

use super::{camera, clip, stop_cleanly};

const FRAMES: u32 = 60;

/// Fast, a picture takes 2.6 ms of the link; slow, a hundred times that: more than the 100 ms until the
/// next one.
const FAST_US_PER_MIB: u32 = 30_000;
const SLOW_US_PER_MIB: u32 = 100 * FAST_US_PER_MIB;

/// Frames that were neither exported nor dropped.
fn unaccounted(camera: &Value) -> Option<i64> {
    let dropped = camera["dropped"].as_object()?.values().map(|count| count.as_i64().unwrap());
    Some(camera["decoded"].as_i64()? - camera["exported"].as_i64()? - dropped.sum::<i64>())
}

/// Plays a file with a reader; returns the camera's status at the end.
fn played(copy_us_per_mib: u32) -> Value {
    let file = clip(FRAMES).make();
    let gpu = SimulatedGpu::new().set("copy_us_per_mib", copy_us_per_mib).set("jitter_percent", 0);
    let gpus = gpu.start();
    let cameras = camera("cam", file.to_str().unwrap(), "decode = \"nvdec\"\nidle = \"decode\"");
    let mut service = Service::start_on(&gpus, "true", "", &cameras, &[]);
    let _reader = service.until_read("cam");
    let camera = service.until("the end", |camera| {
        camera["state"] == "ended" && unaccounted(camera) == Some(0) && camera["decoded"] == FRAMES
    });
    stop_cleanly(service, &gpus);
    camera
}

#[test]
fn decoding_waits_for_no_download() {
    let [fast, slow] = [FAST_US_PER_MIB, SLOW_US_PER_MIB].map(played);
    for camera in [&fast, &slow] {
        assert_eq!((&camera["received"], &camera["decoded"]), (&FRAMES.into(), &FRAMES.into()));
        assert_eq!(camera["dropped"]["undecodable"], 0, "{camera}");
        assert!(camera["exported"].as_u64() > Some(0), "{camera}");
    }
    // The link has time for a third of the frames. Each of the others is counted with its reason.
    assert!(slow["dropped"]["in_flight"].as_u64() > Some(u64::from(FRAMES) / 4), "{slow}");
    assert!(slow["exported"].as_u64() < fast["exported"].as_u64(), "{slow} {fast}");
}
