//! Contract V3 on a GPU: decoding makes the same calls whether frames are exported or not.

use vas_sim_gpu::testing::{CallRecord, SimulatedGpu};
use vas_tests::clip::Clip;
use vas_tests::service::Service;

use super::{camera, clip, stop_cleanly};

const FRAMES: u32 = 60;

/// The driver calls of a run that decodes a clip, with a reader if frames are exported.
fn calls(flag: &str, clip: Clip, more: &str) -> Vec<CallRecord> {
    let file = clip.make();
    let gpus = SimulatedGpu::new().start();
    let log = tempfile::tempdir().unwrap();
    let arguments = ["--test-frame-log", log.path().to_str().unwrap()];
    let cameras = camera("cam", file.to_str().unwrap(), more);
    let mut service = Service::start_on(&gpus, flag, "", &cameras, &arguments);
    let _reader = (flag == "true").then(|| service.until_read("cam"));
    let camera = service
        .until("the end", |camera| camera["state"] == "ended" && camera["decoded"] == FRAMES);
    assert_eq!(camera["decoder"]["kind"], "nvdec");
    if flag == "true" {
        assert!(camera["exported"].as_u64() > Some(0));
    }
    stop_cleanly(service, &gpus);
    gpus.calls()
}

/// The decoding calls, in order: those of the decode thread up to its last picture, except releases
/// of pictures, which their last holder makes.
fn of_decoding(calls: &[CallRecord]) -> Vec<(String, u64, String)> {
    const LETTING_GO: [&str; 4] = [
        "cuvidUnmapVideoFrame64",
        "cuvidDestroyDecoder",
        "cuCtxPushCurrent_v2",
        "cuCtxPopCurrent_v2",
    ];
    let own = calls.iter().filter(|call| call.thread.starts_with("dec:"));
    let kept = own.filter(|call| !LETTING_GO.contains(&call.function.as_str()));
    let mut decoding: Vec<_> =
        kept.map(|call| (call.function.clone(), call.bytes, call.status.clone())).collect();
    let last = decoding.iter().rposition(|(function, ..)| function == "cuvidMapVideoFrame64");
    decoding.truncate(last.expect("pictures") + 1);
    decoding
}

fn count(calls: &[CallRecord], function: &str) -> usize {
    calls.iter().filter(|call| call.function == function).count()
}

#[test]
fn decoding_makes_the_same_calls_with_the_flag_on_and_off() {
    let downloads = ["cuMemcpy2DAsync_v2", "cuEventRecord", "cuMemHostRegister_v2"];
    check(clip(FRAMES), "", &downloads);
}

/// The kernels are loaded in both cases, and launched in one.
#[test]
fn so_does_decoding_for_pictures_that_are_converted() {
    let (encoder, pixels) = ("libx265", "yuv420p10le");
    let clip = Clip { encoder, pixels, ..clip(FRAMES) };
    let downloads = ["cuMemcpy2DAsync_v2", "cuLaunchKernel", "cuMemAlloc_v2"];
    let [on, off] = check(clip, "export.width = 160", &downloads);
    assert_eq!((count(&on, "cuModuleLoadData"), count(&off, "cuModuleLoadData")), (1, 1));
}

/// Returns the calls with the flag on, and off.
fn check(clip: Clip, more: &str, downloads: &[&str]) -> [Vec<CallRecord>; 2] {
    let (on, off) = (calls("true", clip, more), calls("false", clip, more));
    let (decoding_on, decoding_off) = (of_decoding(&on), of_decoding(&off));
    assert!(decoding_off.len() > 2 * FRAMES as usize, "{decoding_off:?}");
    let differ = decoding_on.iter().zip(&decoding_off).find(|(on, off)| on != off);
    assert_eq!((differ, decoding_on.len()), (None, decoding_off.len()));
    for function in ["cuvidUnmapVideoFrame64", "cuvidDestroyDecoder"] {
        assert_eq!(count(&on, function), count(&off, function), "{function}");
    }
    // No call of the download is made; with the flag on there is, which proves that the check can
    // fail.
    for function in downloads {
        assert_eq!(count(&off, function), 0, "{function}");
        assert!(count(&on, function) > 0, "{function}");
    }
    assert!(off.iter().all(|call| !call.thread.starts_with("vas-")), "{off:?}");
    [on, off]
}

#[test]
fn cameras_without_gpu_decoding_load_no_driver() {
    let file = clip(FRAMES).make();
    for (decode, loads) in [("software", false), ("auto", true)] {
        let gpus = SimulatedGpu::new().start();
        let more = format!("decode = {decode:?}\nidle = \"decode\"");
        let cameras = camera("cam", file.to_str().unwrap(), &more);
        let mut service = Service::start_on(&gpus, "true", "", &cameras, &[]);
        service.until("frames", |camera| camera["decoded"].as_u64() > Some(0));
        let maps = service.shards().into_iter().map(|shard| {
            let maps = std::fs::read_to_string(format!("/proc/{shard}/maps")).unwrap();
            maps.contains("libvas_sim_gpu")
        });
        assert_eq!(maps.collect::<Vec<_>>(), [loads], "decode = {decode}");
        assert_eq!(service.stop(), Some(0));
    }
}
