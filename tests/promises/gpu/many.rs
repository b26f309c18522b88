//! Many cameras on two GPUs, one of which is lost: its cameras continue elsewhere within 5 s of video, decoded
//! and exported, and the others are not affected.

use std::collections::BTreeMap;
use std::path::Path;

use vas_frame::{CameraId, Reader};
use vas_sim_gpu::testing::{CallRecord, SimulatedGpu};
use vas_tests::clip::FPS;
use vas_tests::service::Service;

use super::{camera, clip, on_gpu};

const CAMERAS: usize = 32;
const FRAMES: u32 = 150;
/// The most pictures that a camera of a lost GPU may miss (docs/ref/gpu.md), however slow this
/// machine is.
const MOST_MISSED: u32 = 5 * FPS;

/// Presentation times of the decoder's pictures, in nanoseconds.
fn decoded(log: &Path, id: &str) -> Vec<i64> {
    let text = std::fs::read_to_string(log.join(format!("{id}.frames"))).unwrap();
    let pictures = text.lines().filter(|line| !line.starts_with('#'));
    pictures.map(|line| line.split_once(' ').unwrap().0.parse().unwrap()).collect()
}

/// The number of picture intervals between two presentation times.
fn pictures(from_ns: i64, to_ns: i64) -> i64 {
    (to_ns - from_ns + 500_000_000 / i64::from(FPS)) * i64::from(FPS) / 1_000_000_000
}

/// For each thread: when its calls to the lost device began to fail, and when another device returned
/// a picture.
fn moves(calls: &[CallRecord]) -> BTreeMap<&str, (u64, Option<u64>)> {
    let mut moves = BTreeMap::new();
    for call in calls.iter().filter(|call| call.thread.starts_with("dec:")) {
        let failed = call.status != "CUDA_SUCCESS" && call.status != "CUDA_ERROR_NOT_READY";
        match moves.get_mut(call.thread.as_str()) {
            None if failed => {
                moves.insert(call.thread.as_str(), (call.time_us, None));
            }
            Some((_, back @ None)) if !failed && call.function == "cuvidMapVideoFrame64" => {
                *back = Some(call.time_us);
            }
            _ => {}
        }
    }
    moves
}

#[test]
fn a_lost_gpu_costs_its_own_cameras_seconds_and_the_others_nothing() {
    let file = clip(FRAMES).make();
    let gpus = SimulatedGpu::new().set("devices", 2).set("nvdecs", 4).start();
    let id = |n: usize| format!("c{n:02}");
    let tables = (0..CAMERAS).map(|n| camera(&id(n), file.to_str().unwrap(), ""));
    let log = tempfile::tempdir().unwrap();
    let arguments = ["--test-frame-log", log.path().to_str().unwrap()];
    let mut service = Service::start_on(&gpus, "true", "", &tables.collect::<String>(), &arguments);
    let mut readers: Vec<_> = (0..CAMERAS)
        .map(|n| {
            service.until_exported(&id(n));
            Reader::options().dir(service.dir()).open(CameraId::new(id(n)).unwrap()).unwrap()
        })
        .collect();
    for number in 0..CAMERAS {
        service.until_of(number, "pictures of a GPU, exported", |camera| {
            on_gpu(camera)
                && camera["decoded"].as_u64() > Some(5)
                && camera["exported"].as_u64() > Some(0)
        });
    }
    let status = service.status().unwrap();
    let before: Vec<_> =
        (0..CAMERAS).map(|n| status["cameras"][n]["decoder"]["gpu"].clone()).collect();
    let lost: Vec<_> = (0..CAMERAS).filter(|n| before[*n] == "0").collect();
    assert_eq!(lost.len(), CAMERAS / 2, "spread evenly: {before:?}");
    gpus.change("fault=device_lost:0@call 1");
    for (number, reader) in readers.iter_mut().enumerate() {
        let camera = service.until_of(number, "the end", |camera| camera["state"] == "ended");
        let camera = service.until_of(number, "all packets", |now| {
            let sum = now["decoded"].as_u64().zip(now["dropped"]["undecodable"].as_u64());
            sum.map(|(decoded, not)| decoded + not) == camera["received"].as_u64()
        });
        if lost.contains(&number) {
            assert_eq!(camera["decoder"]["gpu"], "1", "{camera}");
            let times = decoded(log.path(), &id(number));
            let missed = times.windows(2).map(|two| pictures(two[0], two[1]) - 1).max().unwrap();
            assert!(
                missed <= MOST_MISSED.into(),
                "{missed} pictures without one decoded, at most {MOST_MISSED}: {camera}"
            );
            // A key frame comes every 25.
            assert!(camera["decoded"].as_u64() >= Some(u64::from(FRAMES) - 40), "{camera}");
            // Readers see the pictures too.
            let last = *times.last().unwrap();
            let seen = reader.latest().unwrap().meta().pts_ns.unwrap();
            let missed = pictures(seen, last);
            assert!(missed <= FPS.into(), "the last {missed} pictures were not exported: {camera}");
        } else {
            assert_eq!(camera["decoded"], FRAMES, "{camera}");
        }
    }
    let calls = gpus.calls();
    let moves = moves(&calls);
    assert_eq!(moves.len(), lost.len(), "{moves:?}");
    let took = |(from, to): &(u64, Option<u64>)| to.expect("a picture elsewhere") - from;
    let longest = moves.values().map(took).max().unwrap();
    println!("simulated: first picture on the other GPU after at most {longest} us");
    // Independent of the number of cameras.
    for device in [0, 1] {
        let retained = |call: &&CallRecord| {
            call.function == "cuDevicePrimaryCtxRetain" && call.status == "CUDA_SUCCESS"
        };
        let contexts = calls.iter().filter(retained).count();
        assert_eq!(contexts, 2, "one context for each of two GPUs; GPU {device}");
    }
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    // A ring that changes GPUs is registered before its last GPU has released it, and again after
    // that.
    gpus.report().assert_clean(&["overlapping_registration"]);
}
