//! An encoding producer on a GPU: one decoder has surfaces for all consumers of its pictures.

use serde_json::Value;
use vas_sim_gpu::testing::SimulatedGpu;
use vas_tests::service::Service;

use super::clip;
use crate::producer::{Transport, stanza};

const FRAMES: u32 = 60;

/// Fast, a picture takes 2.6 ms of the link; slow, a hundred times that: more than the 100 ms until the
/// next one.
const FAST_US_PER_MIB: u32 = 30_000;
const SLOW_US_PER_MIB: u32 = 100 * FAST_US_PER_MIB;

/// The payloads sent, and the camera's status once all frames are accounted for.
struct Played {
    payloads: Vec<Vec<u8>>,
    camera: Value,
}

/// Plays a file on a GPU through a producer, and through the export if `flag` is on.
fn played(copy_us_per_mib: u32, video: &str, flag: &str) -> Played {
    let file = clip(FRAMES).make();
    let gpu = SimulatedGpu::new().set("copy_us_per_mib", copy_us_per_mib).set("jitter_percent", 0);
    let gpus = gpu.start();
    let transport = Transport::new();
    let cameras = stanza(&file, transport.port, video)
        .replace("[camera.producer]", "decode = \"nvdec\"\nidle = \"decode\"\n[camera.producer]");
    let mut service = Service::start_on(&gpus, flag, "", &cameras, &[]);
    let _reader = (flag == "true").then(|| service.until_read("cam"));
    let camera = service.until("the end", |camera| {
        camera["state"] == "ended" && camera["decoded"] == FRAMES && settled(camera, video)
    });
    let log = service.log();
    assert!(!log.contains("surfaces left"), "{log}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    // Pictures are downloaded for the encoder on its thread, into pageable memory.
    gpus.report().assert_clean(&["pageable"]);
    let calls = gpus.calls();
    let created = calls.iter().filter(|call| call.function == "cuvidCreateDecoder").count();
    assert_eq!(created, 1, "one decoder for all");
    Played { payloads: transport.payloads(), camera }
}

/// Whether each frame decoded for the producer was encoded or is counted as dropped.
fn settled(camera: &Value, video: &str) -> bool {
    let producer = &camera["producer"];
    let count = |at: &Value| at.as_u64().unwrap_or(0);
    let lost = count(&producer["dropped"]["encoder"]) + count(&producer["dropped"]["not_encoded"]);
    video == "copy" || count(&producer["encoded"]) + lost == u64::from(FRAMES)
}

#[test]
fn pictures_of_a_gpu_are_encoded_the_same_with_and_without_export() {
    let [off, on] = ["false", "true"].map(|flag| played(FAST_US_PER_MIB, "h264", flag));
    for Played { payloads, camera } in [&off, &on] {
        assert_eq!(camera["decoder"]["kind"], "nvdec");
        assert_eq!(
            (&camera["producer"]["encoded"], camera["received"].as_u64()),
            (&FRAMES.into(), Some(FRAMES.into()))
        );
        assert!(payloads.len() >= FRAMES as usize, "{} packets", payloads.len());
    }
    assert!(on.camera["exported"].as_u64() > Some(0), "{}", on.camera);
    assert!(off.payloads == on.payloads, "payloads differ");
    // The number of surfaces depends on the config alone.
    assert_eq!(off.camera["decoder"]["gpu_bytes"], on.camera["decoder"]["gpu_bytes"]);
}

#[test]
fn a_producer_and_an_export_at_their_limits_leave_the_decoder_its_surfaces() {
    let Played { camera, .. } = played(SLOW_US_PER_MIB, "h264", "true");
    assert_eq!(
        (&camera["dropped"]["undecodable"], &camera["decoded"]),
        (&0.into(), &FRAMES.into())
    );
    // Both reached their limits; otherwise the test proves nothing.
    assert!(camera["producer"]["dropped"]["encoder"].as_u64() > Some(0), "{camera}");
    assert!(camera["dropped"]["in_flight"].as_u64() > Some(0), "{camera}");
    assert_eq!(camera["producer"]["dropped"]["not_encoded"], 0, "{camera}");
    let passed_on = played(FAST_US_PER_MIB, "copy", "true").camera;
    let bytes = |camera: &Value| camera["decoder"]["gpu_bytes"].as_u64().unwrap();
    // Five more surfaces, each twice.
    assert_eq!(bytes(&camera) - bytes(&passed_on), 5 * 2 * 320 * 192 * 3 / 2);
}
