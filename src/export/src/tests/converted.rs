//! 10-bit and scaled pictures of NVDEC, which kernels convert, on simulated devices: no result here describes a real
//! GPU.

use std::sync::Arc;

use vas_media::DecoderKind;
use vas_pipeline::FrameSink as _;
use vas_scale::{Fit, Request};
use vas_sim_gpu::testing::{SimulatedGpu, Simulator};
use vas_status::{DownloadEngine, DropReason};

use super::gpu::{ENGINES_CALLS, FAILURES, on_decode_thread};
use super::nvdec::{Clip, GpuRig, PICTURES, Pictures};
use super::rig::until;

/// Plays a clip through a camera whose export is `settings`, and compares every frame and its metadata.
fn converted(simulator: &Simulator, clip: Clip, (settings, request): (&str, Request)) {
    let copied = simulator.level("copied_bytes");
    let mut rig = GpuRig::exporting(clip, 1, settings);
    let (plan, predicted) = rig.clip.predicted_as(7, request);
    let size = rig.clip.size;
    let mut pictures = rig.pictures();
    let camera = &mut rig.cameras[0];
    on_decode_thread(|| {
        camera.warm_up(&mut pictures);
        for _ in 0..PICTURES {
            let mut frame = pictures.next();
            simulator.forbid_this_thread(true);
            let before = camera.exported();
            camera.tap.take(&mut frame);
            until(|| camera.exported() > before);
            simulator.forbid_this_thread(false);
            let (_, seen) = camera.newest();
            assert!(predicted.contains(&seen), "{size:?}, {settings}: other bytes");
        }
    });
    assert_eq!(pictures.kind(), DecoderKind::Nvdec);
    let meta = *camera.reader.latest().unwrap().meta();
    let (content, source) = (plan.content(), plan.source());
    assert_eq!((meta.source.width, meta.source.height), (source.width, source.height));
    let seen = (meta.content.x, meta.content.y, meta.content.width, meta.content.height);
    assert_eq!(seen, (content.x, content.y, content.width, content.height), "{settings}");
    // What the slot holds, once, and nothing else.
    let output = plan.output();
    let even = |side: u32| u64::from(side.next_multiple_of(2));
    let bytes = u64::from(output.width * output.height)
        + even(output.width) * u64::from(output.height.div_ceil(2));
    assert_eq!(simulator.level("copied_bytes") - copied, bytes * camera.exported());
    camera.until_download(DownloadEngine::Cuda, str::is_empty);
    assert_eq!(camera.dropped(), []);
    rig.stop([pictures]);
    assert_eq!(["pinned_bytes", "modules"].map(|what| simulator.level(what)), [0, 0]);
}

#[test]
fn pictures_of_ten_bits_and_scaled_ones_are_those_of_the_document() {
    let gpu = SimulatedGpu::new().set("seed", 7).set("forbid", ENGINES_CALLS);
    let Some(run) = gpu.in_child(|simulator| {
        let request = |width, height, fit| Request { width: Some(width), height, fit };
        let exports = [
            ("width = 101", request(101, None, Fit::Fit)),
            (
                "width = 128\nheight = 128\nfit = \"letterbox\"",
                request(128, Some(128), Fit::Letterbox),
            ),
            ("width = 322\nheight = 33\nfit = \"stretch\"", request(322, Some(33), Fit::Stretch)),
            // Larger than the picture: bars around it as it is.
            (
                "width = 400\nheight = 400\nfit = \"letterbox\"",
                request(400, Some(400), Fit::Letterbox),
            ),
        ];
        for (at, export) in exports.into_iter().enumerate() {
            converted(simulator, Clip::of_depth((322, 182), [8, 10][at % 2]), export);
            converted(simulator, Clip::of_depth((318, 238), [10, 8][at % 2]), export);
        }
        for size in [(322, 182), (854, 482)] {
            converted(simulator, Clip::ten_bit(size), ("", Request::default()));
        }
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    // What converts was there before the first frame was queued.
    let first = |function: &str| run.calls.iter().position(|call| call.function == function);
    assert!(first("cuMemAlloc_v2") < first("cuLaunchKernel"));
    let launches = run.calls.iter().filter(|call| call.function == "cuLaunchKernel");
    assert!(launches.into_iter().all(|call| call.thread == "vas-cuda-0"));
}

/// Each call of a conversion fails once: on surfaces of NVDEC, whose unmapping under a running kernel is misuse.
#[test]
fn a_conversion_that_fails_costs_one_frame_and_says_why() {
    SimulatedGpu::new().set("seed", 5).in_clean_child(|simulator| {
        let mut rig = GpuRig::exporting(Clip::ten_bit((322, 182)), 1, "width = 101");
        let request = Request { width: Some(101), ..Request::default() };
        let (_, predicted) = rig.clip.predicted_as(5, request);
        let (camera, mut pictures) = rig.camera();
        let calls = FAILURES.into_iter().chain([("cuLaunchKernel", 1)]);
        for (failed, (function, at)) in (1..).zip(calls.clone()) {
            let older = camera.newest();
            simulator.set("clear_faults=");
            if function != "cuLaunchKernel" {
                simulator.set("fault=cuLaunchKernel:1:slow=20000");
            }
            simulator.set(&format!("fault={function}:{at}:CUDA_ERROR_LAUNCH_FAILED"));
            camera.pass(&mut pictures);
            assert_eq!(camera.drops(DropReason::CopyFailed), failed, "{function}, call {at}");
            assert!(camera.newest() == older, "{function}: the older frame stays");
            camera.pass(&mut pictures);
            let (frame_id, bytes) = camera.newest();
            assert!(frame_id == older.0 + 2 && predicted.contains(&bytes), "{function}");
        }
        assert_eq!(camera.dropped(), [("copy_failed", calls.count() as u64)]);
        rig.stop([pictures]);
    });
}

#[test]
fn memory_that_conversion_lacks_is_said_and_asked_for_again() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = GpuRig::exporting(Clip::small(), 1, "width = 101");
        simulator.set("fault=cuMemAlloc_v2:1:CUDA_ERROR_OUT_OF_MEMORY");
        let mut pictures = rig.pictures();
        let camera = &mut rig.cameras[0];
        camera.tap.begin(&pictures.stream, pictures.kind());
        while camera.drops(DropReason::CopyFailed) == 0 {
            camera.pass(&mut pictures);
        }
        let why = "GPU 0 can't convert frames: cuMemAlloc_v2 failed: CUDA_ERROR_OUT_OF_MEMORY";
        camera.until_download(DownloadEngine::None, |words| words.starts_with(why));
        // The engine recovers by itself.
        camera.warm_up(&mut pictures);
        camera.until_download(DownloadEngine::Cuda, str::is_empty);
        rig.stop([pictures]);
    });
}

/// One engine, one ring: the camera's size changes, and the export's stays.
#[test]
fn a_camera_changes_its_size_without_another_epoch() {
    SimulatedGpu::new().set("seed", 3).in_clean_child(|_| {
        let request = Request { width: Some(100), height: Some(100), fit: Fit::Letterbox };
        let settings = "width = 100\nheight = 100\nfit = \"letterbox\"";
        let mut rig = GpuRig::exporting(Clip::small(), 1, settings);
        let device = Arc::clone(rig.device.as_ref().unwrap());
        let clips = [Clip::encode((640, 320)), Clip::small(), Clip::encode((98, 322))];
        let camera = &mut rig.cameras[0];
        let (mut all, mut epochs) = (Vec::new(), Vec::new());
        for clip in clips {
            let (_, predicted) = clip.predicted_as(3, request);
            let mut pictures = Pictures::on_gpu(&device, &clip);
            camera.warm_up(&mut pictures);
            for _ in 0..3 {
                camera.pass(&mut pictures);
                assert!(predicted.contains(&camera.newest().1), "{:?}", clip.size);
            }
            epochs.push(camera.reader.latest().unwrap().meta().epoch);
            all.push(pictures);
        }
        assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
        drop(device);
        rig.stop(all);
    });
}
