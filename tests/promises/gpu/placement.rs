//! GPUs get the same number of cameras, those alone counting that decode there, with one process for all GPUs and with
//! a shard for each (contract D1); a lost GPU's cameras move, and one that is back gets new ones.

use serde_json::Value;
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

/// How many cameras decode on each GPU, by their own reports, which those of the GPUs confirm.
fn counts(status: &Value) -> [u64; 4] {
    let mut counts = [0; 4];
    for camera in status["cameras"].as_array().unwrap().iter().filter(|camera| on_gpu(camera)) {
        counts[camera["decoder"]["gpu"].as_str().unwrap().parse::<usize>().unwrap()] += 1;
    }
    counts
}

/// The counts in the GPUs' reports.
fn reported(status: &Value) -> [u64; 4] {
    let mut counts = [0; 4];
    for gpu in status["shards"][0]["gpus"].as_array().unwrap() {
        let number = gpu["gpu"].as_str().unwrap().parse::<usize>().unwrap();
        counts[number] = gpu["cameras"].as_u64().unwrap();
    }
    counts
}

#[test]
fn mixed_cameras_on_four_gpus_of_which_one_is_lost_and_comes_back() {
    let file = clip(600).make();
    let gpus = SimulatedGpu::new().set("devices", 4).start();
    let table = |id: &str, more: &str| {
        camera(id, file.to_str().unwrap(), &format!("idle = \"decode\"\n{more}"))
    };
    let pinned = table("pinned", "gpu = \"2\"");
    let recordings = tempfile::tempdir().unwrap();
    let record = format!("[record]\ndir = {:?}\n", recordings.path());
    // Nothing takes this one's frames: its packets are copied to a file.
    let copied = format!(
        "[[camera]]\nid = \"copied\"\nrecord = {{}}\n[[camera.input]]\nurl = {file:?}\nroles = [\"record\"]\n"
    );
    let mut service = Service::start_on(&gpus, "true", "", &format!("{record}{pinned}"), &[]);
    let decodes = |camera: &Value| camera["decoded"].as_u64() > Some(0);
    service.until_camera("pinned", "its GPU", |camera| on_gpu(camera) && decodes(camera));

    let mut cameras = format!("{record}{pinned}{copied}{}", table("soft", "decode = \"software\""));
    (0..7).for_each(|n| cameras += &table(&format!("any{n}"), ""));
    service.reload(&cameras);
    let even = service.until_status("eight cameras on GPUs", |status| counts(status) == [2; 4]);
    assert_eq!(reported(&even), [2; 4], "{even:#}");
    service.until_camera("soft", "the processor", |camera| {
        camera["decoder"]["kind"] == "software" && decodes(camera)
    });
    service.until_camera("copied", "a recording", |camera| {
        camera["recorder"]["packets"].as_u64() > Some(0) && camera["decoder"].is_null()
    });

    gpus.change("fault=device_lost:2@call 1");
    // The pinned one waits on the processor; the other one goes to the first of the GPUs with the fewest.
    service.until_status("seven cameras on three GPUs", |status| {
        counts(status) == [3, 2, 0, 2] && reported(status) == [3, 2, 0, 2]
    });
    service.until_camera("pinned", "the processor", |camera| {
        let why = camera["decoder"]["why"].as_str().unwrap_or_default();
        camera["decoder"]["kind"] == "software" && why.contains("GPU 2 is lost")
    });

    gpus.change("recover=2");
    service.until_camera("pinned", "its GPU again", on_gpu);
    // No camera is moved for the sake of even counts; a new one gets the GPU with the fewest.
    service.reload(&format!("{cameras}{}", table("new", "")));
    service.until_camera("new", "the GPU that is back", |camera| {
        camera["decoder"]["gpu"] == "2" && decodes(camera)
    });
    let end = service.until_status("all of them", |status| counts(status) == [3, 2, 2, 2]);
    let of_others = |camera: &&Value| camera["decoder"]["gpu"] != "2";
    for before in even["cameras"].as_array().unwrap().iter().filter(of_others) {
        let cameras = end["cameras"].as_array().unwrap();
        let after = cameras.iter().find(|camera| camera["id"] == before["id"]).unwrap();
        assert_eq!(after["dropped"]["undecodable"], 0, "lost nothing: {after}");
    }
    stop_cleanly(service, &gpus);
}
