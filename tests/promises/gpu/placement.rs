//! With a shard for each GPU, cameras that decode elsewhere do not count in the placement (contract
//! D1).

use vas_sim_gpu::testing::{CallRecord, SimulatedGpu};
use vas_tests::service::Service;

use super::{camera, clip, on_gpu, stop_cleanly};

#[test]
fn cameras_that_never_decode_on_a_gpu_do_not_count_there() {
    let file = clip(600).make();
    let gpus = SimulatedGpu::new().set("devices", 2).start();
    let driver = tempfile::tempdir().unwrap();
    for bus in ["0000:01:00.0", "0000:02:00.0"] {
        std::fs::create_dir_all(driver.path().join("gpus").join(bus)).unwrap();
    }
    let table = |id: &str, more: &str| camera(id, file.to_str().unwrap(), more);
    let processor = "decode = \"software\"\nidle = \"decode\"";
    let any = "idle = \"decode\"";
    // Placed by number alone, both cameras that decode on a GPU would share the second one.
    let cameras = [
        table("a", processor),
        table("b", any),
        table("c", processor),
        table("d", any),
        table("e", "gpu = \"1\"\nidle = \"decode\""),
        table("f", any),
    ];
    let arguments = ["--test-nvidia-proc", driver.path().to_str().unwrap()];
    let mut service = Service::start_on(&gpus, "true", "", &cameras.concat(), &arguments);
    for (id, gpu) in [("b", "1"), ("d", "0"), ("e", "1"), ("f", "0")] {
        let seen = service.until_camera(id, "a picture of a GPU", |camera| {
            on_gpu(camera) && camera["decoded"].as_u64() > Some(0)
        });
        assert_eq!(seen["decoder"]["gpu"], gpu, "{seen}");
        assert_eq!(seen["shard"].to_string(), gpu, "{seen}");
    }
    for id in ["a", "c"] {
        service.until_camera(id, "a picture of the processor", |camera| {
            camera["decoder"]["kind"] == "software" && camera["decoded"].as_u64() > Some(0)
        });
    }
    stop_cleanly(service, &gpus);
    let retained = |call: &&CallRecord| {
        call.function == "cuDevicePrimaryCtxRetain" && call.status == "CUDA_SUCCESS"
    };
    let calls = gpus.calls();
    let mut shards: Vec<_> = calls.iter().filter(retained).map(|call| call.pid).collect();
    shards.sort_unstable();
    shards.dedup();
    assert_eq!(shards.len(), 2);
    let contexts = calls.iter().filter(retained).count();
    assert_eq!(contexts, 2, "one context a GPU, and not one for each shard and GPU");
}
