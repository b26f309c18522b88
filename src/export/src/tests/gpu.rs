//! The tap with NVDEC pictures, on simulated devices: no result here describes a real GPU.

use std::sync::Arc;

use vas_media::{CudaDevice, DecoderKind, Frame};
use vas_pipeline::FrameSink as _;
use vas_sim_gpu::testing::SimulatedGpu;
use vas_status::{DownloadEngine, DropReason};

use super::nvdec::{Clip, GpuRig, PICTURES, Pictures};
use super::rig::until;
use crate::download::MAX_IN_FLIGHT;

/// Calls that a decode thread must leave to the engine. FFmpeg's own calls there push a context,
/// decode and map.
pub(super) const ENGINES_CALLS: &str = "dec:cuStreamCreate,cuStreamDestroy_v2,cuStreamWaitEvent,\
    cuEventCreate,cuEventDestroy_v2,cuEventRecord,cuEventSynchronize,cuMemcpy2DAsync_v2,\
    cuMemHostRegister_v2,cuMemHostUnregister,cuMemAllocHost_v2,cuMemFreeHost,cuCtxSetCurrent,\
    cuLaunchKernel,cuMemAlloc_v2,cuMemFree_v2";

/// Runs what a decode thread would, under its name.
pub(super) fn on_decode_thread<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("dec:cam0".into());
        thread.spawn_scoped(scope, run).unwrap().join().unwrap()
    })
}

#[test]
fn pictures_come_down_whole_by_one_copy_and_no_call_of_the_decode_threads() {
    let gpu = SimulatedGpu::new().set("seed", 7).set("forbid", ENGINES_CALLS);
    let Some(run) = gpu.in_child(|simulator| {
        let mut rig = GpuRig::playing(Clip::encode((322, 182)), 1);
        let predicted = rig.clip.predicted(7);
        let mut pictures = rig.pictures();
        let camera = &mut rig.cameras[0];
        on_decode_thread(|| {
            // The ring is pinned before a frame waits for that.
            camera.tap.begin(&pictures.stream, pictures.kind());
            camera.tap.take(&mut pictures.next());
            until(|| simulator.level("pinned_bytes") > 0);
            assert_eq!(camera.exported(), 0);
            camera.warm_up(&mut pictures);
            for _ in 0..2 * PICTURES {
                let mut frame = pictures.next();
                // Nor may FFmpeg: taking a frame calls no driver at all.
                simulator.forbid_this_thread(true);
                let before = camera.exported();
                camera.tap.take(&mut frame);
                until(|| camera.exported() > before);
                simulator.forbid_this_thread(false);
                assert!(frame.is_empty(), "the engine has the surface");
                let (_, seen) = camera.newest();
                assert!(predicted.contains(&seen));
            }
        });
        assert_eq!(pictures.kind(), DecoderKind::Nvdec);
        // The visible picture once, and nothing else.
        let bytes = (322 * 182 * 3 / 2) * camera.exported();
        assert_eq!(simulator.level("copied_bytes"), bytes);
        camera.until_download(DownloadEngine::Cuda, str::is_empty);
        assert_eq!(camera.dropped(), []);
        rig.stop([pictures]);
        assert_eq!(simulator.level("pinned_bytes"), 0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    // The ring was pinned before its first frame was queued.
    let first = |function: &str| run.calls.iter().position(|call| call.function == function);
    assert!(first("cuMemHostRegister_v2") < first("cuMemcpy2DAsync_v2"));
}

#[test]
fn decoding_goes_on_while_no_copy_ends() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = GpuRig::new(1);
        let (camera, mut pictures) = rig.camera();
        let before = camera.exported();
        simulator.set("hold_copies=1");
        let mut frame = Frame::new();
        // All of them decode, although the copies of the first ones never end.
        for _ in 0..10 * PICTURES {
            pictures.next_into(&mut frame);
            camera.tap.take(&mut frame);
            frame.clear();
        }
        assert_eq!(camera.exported(), before);
        let dropped = (10 * PICTURES) as u64 - u64::from(MAX_IN_FLIGHT);
        assert_eq!(camera.dropped(), [("in_flight", dropped)]);

        simulator.set("hold_copies=0");
        until(|| camera.exported() >= before + u64::from(MAX_IN_FLIGHT));
        camera.pass(&mut pictures);
        assert_eq!(camera.exported(), before + u64::from(MAX_IN_FLIGHT) + 1);
        drop(frame);
        rig.stop([pictures]);
    });
}

#[test]
fn frames_stay_in_order_from_gpu_to_processor_to_another_gpu_and_back() {
    // A GPU may briefly find the ring still pinned by the other: the driver's refusal is recorded.
    let gpu = SimulatedGpu::new().set("devices", 2).allowing(&["overlapping_registration"]);
    gpu.in_clean_child(|simulator| {
        let other_device = CudaDevice::open(1).unwrap();
        let mut rig = GpuRig::new(1);
        // Colours come from the stream, so all pictures have the same geometry and share one ring.
        let mut all = [
            rig.pictures(),
            Pictures::on_processor(&rig.clip),
            Pictures::on_gpu(&other_device, &rig.clip),
        ];
        let camera = &mut rig.cameras[0];
        camera.warm_up(&mut all[0]);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 2), (2, 1), (1, 0)] {
            for pictures in [from, to] {
                camera.warm_up(&mut all[pictures]);
                camera.pass(&mut all[pictures]);
            }
            // While copies on one GPU are in flight, nothing goes to the other.
            if from != 1 {
                camera.warm_up(&mut all[from]);
                simulator.set("hold_copies=1");
                let (exported, changed) =
                    (camera.exported(), camera.drops(DropReason::EngineChange));
                camera.tap.take(&mut all[from].next());
                for _ in 0..5 {
                    camera.tap.take(&mut all[to].next());
                }
                assert_eq!(camera.exported(), exported, "{from} to {to}");
                assert_eq!(camera.drops(DropReason::EngineChange), changed + 5);
                simulator.set("hold_copies=0");
                until(|| camera.exported() > exported);
            }
        }
        // The GPU in use has the ring pinned. The driver refuses to pin it twice: one engine can
        // pin it only after the other has unpinned it.
        for to in [2, 0] {
            until(|| {
                camera.warm_up(&mut all[to]);
                let download = camera.stats.get().download;
                download.engine == DownloadEngine::Cuda && download.why.is_none()
            });
        }
        let readable = camera.readable();
        assert!(readable.len() > 20, "{readable:?}");
        assert!(readable.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{readable:?}");
        rig.stop(all);
    });
}

#[test]
fn a_ring_that_can_not_be_pinned_is_staged_and_says_so() {
    SimulatedGpu::new().set("seed", 3).in_clean_child(|simulator| {
        let mut rig = GpuRig::new(1);
        let predicted = rig.clip.predicted(3);
        simulator.set("fault=cuMemHostRegister_v2:1+:CUDA_ERROR_OUT_OF_MEMORY");
        let (camera, mut pictures) = rig.camera();
        for _ in 0..5 {
            camera.pass(&mut pictures);
            assert!(predicted.contains(&camera.newest().1));
        }
        let why = "staged: cuMemHostRegister_v2 failed: CUDA_ERROR_OUT_OF_MEMORY";
        camera.until_download(DownloadEngine::Cuda, |words| words.starts_with(why));
        rig.stop([pictures]);
    });
}

/// A decoder ends with its last surface, but not on the thread that publishes other cameras'
/// frames.
#[test]
fn a_decoder_that_a_frame_in_flight_outlives_is_destroyed_on_its_own_thread() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let mut rig = GpuRig::new(1);
        let (camera, mut pictures) = rig.camera();
        simulator.set("hold_copies=1");
        camera.tap.take(&mut pictures.next());
        camera.tap.take(&mut pictures.next());
        drop(pictures);
        assert_eq!(simulator.level("decoders"), 1);
        let before = camera.exported();
        simulator.set("hold_copies=0");
        until(|| camera.exported() >= before + 2 && simulator.level("decoders") == 0);
        // The empty frame is back, and the next decoder's frames go on.
        let (_, pictures) = rig.camera();
        rig.stop([pictures]);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    let destroyed = run.calls.iter().filter(|call| call.function == "cuvidDestroyDecoder");
    let threads: Vec<&str> = destroyed.map(|call| call.thread.as_str()).collect();
    assert_eq!(threads[0], "vas-drop", "{threads:?}");
    assert!(!threads.iter().any(|thread| thread.starts_with("vas-reap")), "{threads:?}");
}

/// Where an engine can fail for a frame, and at which call of that function.
pub(super) const FAILURES: [(&str, u32); 6] = [
    ("cuEventRecord", 1),
    ("cuEventRecord", 2),
    ("cuStreamWaitEvent", 1),
    ("cuMemcpy2DAsync_v2", 1),
    ("cuMemcpy2DAsync_v2", 2),
    ("cuEventSynchronize", 1),
];

#[test]
fn a_call_that_fails_costs_one_frame_of_one_camera() {
    SimulatedGpu::new().set("seed", 5).in_clean_child(|simulator| {
        let mut rig = GpuRig::new(2);
        let predicted = rig.clip.predicted(5);
        let mut pictures = [(); 2].map(|()| rig.pictures());
        let [camera, other] = &mut rig.cameras[..] else { unreachable!() };
        camera.warm_up(&mut pictures[0]);
        other.warm_up(&mut pictures[1]);
        for (failed, (function, at)) in (1..).zip(FAILURES) {
            let (older, exported) = (camera.newest(), camera.exported());
            simulator.set("clear_faults=");
            simulator.set(&format!("fault={function}:{at}:CUDA_ERROR_LAUNCH_FAILED"));
            camera.pass(&mut pictures[0]);
            assert_eq!(camera.drops(DropReason::CopyFailed), failed, "{function}, call {at}");
            assert_eq!(camera.exported(), exported);
            assert!(camera.newest() == older, "{function}: the older frame stays");
            // The next frames succeed, and so do other cameras'.
            let exported = other.exported();
            other.pass(&mut pictures[1]);
            assert_eq!(other.exported(), exported + 1);
            camera.pass(&mut pictures[0]);
            let (frame_id, bytes) = camera.newest();
            assert!(frame_id == older.0 + 2 && predicted.contains(&bytes), "{function}");
        }
        assert_eq!(camera.dropped(), [("copy_failed", FAILURES.len() as u64)]);
        assert_eq!(other.dropped(), []);
        rig.stop(pictures);
    });
}

#[test]
fn an_engine_that_can_not_be_had_is_said_and_tried_again() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = GpuRig::new(1);
        let mut pictures = rig.pictures();
        let camera = &mut rig.cameras[0];
        simulator.set("fault=cuStreamCreate:1:CUDA_ERROR_OUT_OF_MEMORY");
        camera.tap.begin(&pictures.stream, pictures.kind());
        while camera.drops(DropReason::NoExport) == 0 {
            camera.pass(&mut pictures);
        }
        camera.until_download(DownloadEngine::None, |why| why.contains("cuStreamCreate failed"));
        assert_eq!(camera.exported(), 0);
        // The ring manager recovers by itself.
        camera.warm_up(&mut pictures);
        camera.until_download(DownloadEngine::Cuda, str::is_empty);
        rig.stop([pictures]);
    });
}

#[test]
fn a_lost_gpu_is_reported_and_another_takes_over_the_ring() {
    // A lost device does not give back all that it is asked to.
    let gpu = SimulatedGpu::new().set("devices", 2).allowing(&["leak"]);
    gpu.in_clean_child(|simulator| {
        let other_device = CudaDevice::open(1).unwrap();
        let mut rig = GpuRig::new(1);
        let device = Arc::clone(rig.device.as_ref().unwrap());
        let mut others = Pictures::on_gpu(&other_device, &rig.clip);
        let (camera, mut pictures) = rig.camera();
        let older = camera.newest();
        let surfaces = [(); 2].map(|()| pictures.next());
        simulator.set("fault=device_lost:0@call 1");
        for (gone, mut surface) in (1..).zip(surfaces) {
            camera.tap.take(&mut surface);
            until(|| camera.drops(DropReason::GpuLost) >= gone);
        }
        let known = [&device, &other_device].map(|device| device.known_health().is_ok());
        assert_eq!(known, [false, true]);
        assert!(camera.newest() == older, "the ring serves what it has");
        camera.until_download(DownloadEngine::None, |why| why.starts_with("GPU 0 is lost: "));

        camera.warm_up(&mut others);
        camera.until_download(DownloadEngine::Cuda, str::is_empty);
        assert!(camera.newest().0 > older.0);
        assert!(camera.readable().iter().any(|(frame_id, _)| *frame_id == older.0));
        rig.stop([pictures, others]);
    });
}

/// A fault that only copies meet: the driver still answers the decoder.
#[test]
fn a_loss_that_only_the_engine_meets_with_ends_the_decoders_and_the_gpu_comes_back() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = GpuRig::new(2);
        let mut pictures = [(); 2].map(|()| rig.pictures());
        for (camera, pictures) in rig.cameras.iter_mut().zip(&mut pictures) {
            camera.warm_up(pictures);
        }
        let error = "CUDA_ERROR_ILLEGAL_ADDRESS";
        simulator.set(&format!("fault=cuMemcpy2DAsync_v2:1:{error};cuStreamQuery:1:{error}"));
        let camera = &mut rig.cameras[0];
        camera.pass(&mut pictures[0]);
        assert_eq!(camera.drops(DropReason::GpuLost), 1);
        // The driver and the context would go on working. Both cameras must leave the GPU all the
        // same.
        for pictures in &mut pictures {
            let words = pictures.failure();
            assert!(words.contains("GPU 0 is lost") && words.contains(error), "{words}");
        }
        camera.until_download(DownloadEngine::None, |why| why.starts_with("GPU 0 is lost: "));
        assert!(CudaDevice::open(0).is_err(), "held by whom it failed");
        drop((pictures, rig.device.take()));
        let older = camera.newest().0;
        // The engine has released it by itself, so that it can be opened again.
        until(|| {
            rig.device = CudaDevice::open(0).ok();
            rig.device.is_some()
        });
        let pictures = [(); 2].map(|()| rig.pictures());
        let pictures = std::iter::zip(pictures, &mut rig.cameras).map(|(mut pictures, camera)| {
            camera.warm_up(&mut pictures);
            camera.until_download(DownloadEngine::Cuda, str::is_empty);
            assert!(camera.newest().0 > older);
            pictures
        });
        let pictures: Vec<_> = pictures.collect();
        rig.stop(pictures);
        assert_eq!(["contexts", "pinned_bytes"].map(|what| simulator.level(what)), [0, 0]);
    });
}

#[test]
fn an_engine_ends_with_its_last_camera_and_the_next_one_starts_another() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = GpuRig::new(2);
        let (_, pictures) = rig.camera();
        // The first camera leaves, and nothing else holds the GPU.
        drop((pictures, rig.device.take(), rig.cameras.remove(0)));
        until(|| simulator.level("contexts") == 0);
        rig.device = Some(CudaDevice::open(0).unwrap());
        let (_, pictures) = rig.camera();
        rig.stop([pictures]);
        assert_eq!(simulator.level("contexts"), 0);
    });
}

#[test]
fn a_stop_finishes_what_is_in_flight() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = GpuRig::new(3);
        let mut decoders = [(); 3].map(|()| rig.pictures());
        for (camera, pictures) in rig.cameras.iter_mut().zip(&mut decoders) {
            camera.warm_up(pictures);
        }
        simulator.set("hold_copies=1");
        for (camera, pictures) in rig.cameras.iter_mut().zip(&mut decoders) {
            (0..MAX_IN_FLIGHT).for_each(|_| camera.tap.take(&mut pictures.next()));
        }
        let input_stats: Vec<_> =
            rig.cameras.iter().map(|camera| Arc::clone(&camera.input_stats)).collect();
        let exported = || input_stats.iter().map(|stats| stats.counters.exported());
        let before: Vec<u64> = exported().collect();
        drop(decoders);
        std::thread::scope(|scope| {
            let stopping = scope.spawn(|| rig.stop([]));
            simulator.set("hold_copies=0");
            stopping.join().unwrap();
        });
        let expected = before.iter().map(|before| before + u64::from(MAX_IN_FLIGHT));
        assert!(exported().eq(expected), "{before:?}, then {:?}", exported().collect::<Vec<_>>());
    });
}
