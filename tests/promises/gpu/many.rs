//! Many cameras on two GPUs, one of which is lost: its cameras go on elsewhere, the others notice nothing.

use std::collections::BTreeMap;

use vas_sim_gpu::testing::{CallRecord, SimulatedGpu};
use vas_tests::service::Service;

use super::{camera, clip, on_gpu, stop_cleanly};

const CAMERAS: usize = 32;
const FRAMES: u32 = 150;

/// By thread: when its calls to the lost device began to fail, and when another one gave it a picture.
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
fn a_lost_gpu_costs_its_own_cameras_a_moment_and_the_others_nothing() {
    let file = clip(FRAMES).make();
    let gpus = SimulatedGpu::new().set("devices", 2).set("nvdecs", 4).start();
    let tables = (0..CAMERAS).map(|n| camera(&format!("c{n:02}"), file.to_str().unwrap(), ""));
    let log = tempfile::tempdir().unwrap();
    let arguments = ["--test-frame-log", log.path().to_str().unwrap()];
    let mut service =
        Service::start_on(&gpus, "false", "", &tables.collect::<String>(), &arguments);
    for number in 0..CAMERAS {
        service.until_of(number, "pictures of a GPU", |camera| {
            on_gpu(camera) && camera["decoded"].as_u64() > Some(5)
        });
    }
    let status = service.status().unwrap();
    let before: Vec<_> =
        (0..CAMERAS).map(|n| status["cameras"][n]["decoder"]["gpu"].clone()).collect();
    let lost: Vec<_> = (0..CAMERAS).filter(|n| before[*n] == "0").collect();
    assert_eq!(lost.len(), CAMERAS / 2, "spread evenly: {before:?}");
    gpus.change("fault=device_lost:0@call 1");
    for number in 0..CAMERAS {
        let camera = service.until_of(number, "the end", |camera| camera["state"] == "ended");
        let camera = service.until_of(number, "all packets", |now| {
            let sum = now["decoded"].as_u64().zip(now["dropped"]["undecodable"].as_u64());
            sum.map(|(decoded, not)| decoded + not) == camera["received"].as_u64()
        });
        if lost.contains(&number) {
            assert_eq!(camera["decoder"]["gpu"], "1", "{camera}");
            // A key frame comes every 25.
            assert!(camera["decoded"].as_u64() >= Some(u64::from(FRAMES) - 40), "{camera}");
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
    // However many cameras there are.
    for device in [0, 1] {
        let retained = |call: &&CallRecord| {
            call.function == "cuDevicePrimaryCtxRetain" && call.status == "CUDA_SUCCESS"
        };
        let contexts = calls.iter().filter(retained).count();
        assert_eq!(contexts, 2, "one context for each of two GPUs; GPU {device}");
    }
    stop_cleanly(service, &gpus);
}
