//! Pictures that a kernel converts: the bytes of the document, and what conversion costs and needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vas_gpu::{Failure, NoKernels, Outcome};
use vas_scale::{ChromaSite, ColorInfo, Fit, Plan, Request};
use vas_sim_gpu::testing::{SimulatedGpu, Simulator};

use crate::rig::{Camera, Device, Rig, geometry, is_published, until};
use crate::surface::Shape;

/// The decode stream lags, so that a kernel that does not wait for it reads noise.
const SLOW_DECODE: &str = "fault=cuMemcpyHtoDAsync_v2:1+:slow=3000";

fn request(width: u32, height: Option<u32>, fit: Fit) -> Request {
    Request { width: Some(width), height, fit }
}

fn plan((width, height): (usize, usize), request: Request, color: ColorInfo) -> Plan {
    Plan::new((width as u32, height as u32), request, color).unwrap()
}

/// Sizes, and what is asked for. Some sides are odd, and some sizes stay as they are.
fn cases() -> Vec<((usize, usize), Request)> {
    vec![
        ((1, 1), Request::default()),
        ((2, 2), request(1, None, Fit::Fit)),
        ((33, 17), request(20, None, Fit::Fit)),
        ((64, 64), request(96, Some(80), Fit::Letterbox)),
        ((187, 101), request(64, Some(64), Fit::Letterbox)),
        ((318, 238), request(100, Some(31), Fit::Stretch)),
        ((318, 238), Request::default()),
        ((640, 362), request(213, None, Fit::Fit)),
    ]
}

fn pictures_are_those_of_the_document(register: bool) {
    let simulator = Simulator::of_this_process();
    let rig = Rig::new(64, 64);
    simulator.set(SLOW_DECODE);
    if !register {
        simulator.set("fault=cuMemHostRegister_v2:1+:CUDA_ERROR_OUT_OF_MEMORY");
    }
    for (case, (size, request)) in cases().into_iter().enumerate() {
        let site = ChromaSite::of_chroma_location(case as u32);
        let color = ColorInfo { site, full_range: case % 2 == 1 };
        let plan = plan(size, request, color);
        for words in [false, true] {
            let mut camera = Camera::scaled(&rig.engine, plan);
            if words && plan.is_copy() {
                // As the tap hands such a picture over.
                camera.plan = None;
            }
            for seed in 1..=4 {
                let shape = Shape::drawn(size.0, size.1, seed);
                let shape = if words { shape.words() } else { shape };
                let visible = camera.publish(&rig.device, shape, 77 + seed);
                let expected = visible.converted(shape, &plan);
                assert!(camera.newest() == (seed, expected), "{shape:?}, {plan:?}: other bytes");
            }
        }
    }
}

#[test]
fn at_any_size_pitch_padding_crop_and_fit() {
    for seed in [1, 2] {
        let gpu = SimulatedGpu::new().set("seed", seed);
        let Some(run) = gpu.in_child(|_| pictures_are_those_of_the_document(true)) else {
            return;
        };
        run.report.assert_clean(&[]);
        let launches = run.calls.iter().filter(|call| call.function == "cuLaunchKernel");
        assert_eq!(launches.clone().count(), cases().len() * 2 * 4);
        assert!(launches.into_iter().all(|call| call.thread == "vas-cuda-0"));
        // What comes of each picture, once, and never the picture itself.
        let down = run.calls.iter().filter(|call| call.function == "cuMemcpy2DAsync_v2");
        let bytes: u64 = down.map(|call| call.bytes).sum();
        let output = |(size, request): ((usize, usize), Request)| {
            let output = plan(size, request, ColorInfo::default()).output();
            geometry(output.width as usize, output.height as usize).tight_bytes() as u64
        };
        assert_eq!(bytes, cases().into_iter().map(output).sum::<u64>() * 2 * 4);
    }
}

#[test]
fn through_staging_as_well() {
    SimulatedGpu::new().in_clean_child(|_| pictures_are_those_of_the_document(false));
}

/// What goes over the link for a 4K picture of 10 bits that is exported at 640x360.
#[test]
fn of_a_large_picture_only_the_exported_one_crosses_the_link() {
    let size = (3840, 2160);
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let rig = Rig::new(64, 64);
        let plan = plan(size, request(640, None, Fit::Fit), ColorInfo::default());
        let mut camera = Camera::scaled(&rig.engine, plan);
        let shape = Shape::plain(size.0, size.1).words();
        let visible = camera.publish(&rig.device, shape, 1);
        assert!(camera.newest() == (1, visible.converted(shape, &plan)));
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    let copies = run.calls.iter().filter(|call| call.function.starts_with("cuMemcpy"));
    let down = copies.filter(|call| call.thread.starts_with("vas-"));
    let bytes: Vec<u64> = down.map(|call| call.bytes).collect();
    assert_eq!(bytes, [640 * 360, 640 * 360 / 2]);
}

fn scaled(rig: &Rig) -> (Camera, Shape, Plan) {
    let plan = plan((96, 64), request(40, None, Fit::Fit), ColorInfo::default());
    (Camera::scaled(&rig.engine, plan), Shape::drawn(96, 64, 5).words(), plan)
}

#[test]
fn a_frame_costs_one_call_more_and_nothing_is_created() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let rig = Rig::new(64, 64);
        let (mut camera, shape, _) = scaled(&rig);
        rig.engine.prepare(camera.writer.pages(), Some(camera.writer.geometry()));
        until(|| rig.engine.status().scratch_bytes > 0);
        camera.publish(&rig.device, shape, 1);
        let made = [
            "cuEventCreate",
            "cuStreamCreate",
            "cuMemHostRegister_v2",
            "cuMemAllocHost_v2",
            "cuModuleLoadData",
            "cuModuleGetFunction",
        ];
        let before = made.map(|function| simulator.calls(function));
        for seed in 0..50 {
            camera.publish(&rig.device, shape, seed);
        }
        assert_eq!(made.map(|function| simulator.calls(function)), before);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    let ours = run.calls.iter().filter(|call| call.thread.starts_with("vas-cuda"));
    let ours: Vec<&str> = ours.map(|call| call.function.as_str()).collect();
    // The memory was allocated before the first frame, and once.
    let first = |function| ours.iter().position(|called| *called == function);
    assert!(first("cuMemAlloc_v2") < first("cuEventRecord"));
    let count = |function| ours.iter().filter(|called| **called == function).count();
    assert_eq!((count("cuModuleLoadData"), count("cuMemAlloc_v2")), (1, 1));
    assert_eq!(count("cuLaunchKernel"), 51);
    assert_eq!(count("cuEventRecord"), 2 * 51);
    assert_eq!(count("cuStreamWaitEvent"), 51);
    assert_eq!(count("cuMemcpy2DAsync_v2"), 2 * 51);
    assert_eq!(count("cuStreamQuery"), 0);
}

/// Pictures that need no conversion load no kernels.
#[test]
fn a_picture_that_fills_its_slot_makes_the_calls_that_it_made() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let mut rig = Rig::new(96, 64);
        rig.engine.prepare(rig.camera.writer.pages(), None);
        rig.publish(Shape::drawn(96, 64, 5), 1);
        assert_eq!(rig.engine.status().scratch_bytes, 0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    let ours = run.calls.iter().filter(|call| call.thread.starts_with("vas-"));
    let kernels = ["cuModuleLoadData", "cuModuleGetFunction", "cuLaunchKernel", "cuMemAlloc_v2"];
    let ours: Vec<_> = ours.filter(|call| kernels.contains(&call.function.as_str())).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

/// Frames of several cameras, of which each has its own plan, and several in flight.
#[test]
fn frames_in_flight_do_not_mix() {
    let gpu = SimulatedGpu::new().set("copy_us_per_mib", 200_000).set("jitter_percent", 90);
    gpu.in_clean_child(|_| {
        let rig = Rig::new(64, 64);
        let plans = [40, 41, 42]
            .map(|width| plan((96, 64), request(width, None, Fit::Fit), ColorInfo::default()));
        let shape = Shape::plain(96, 64).words();
        let mut cameras = plans.map(|plan| Camera::scaled(&rig.engine, plan));
        for round in 0..20 {
            let mut last = Vec::new();
            for seed in 3 * round..3 * round + 3 {
                for camera in &mut cameras {
                    let (surface, visible) = rig.device.decode_visible(shape, seed);
                    camera.submit(surface).unwrap();
                    last.push(visible);
                }
            }
            for ((camera, plan), visible) in cameras.iter().zip(&plans).zip(&last[last.len() - 3..])
            {
                until(|| camera.copy_queue.in_flight() == 0);
                camera.seen.wait(3 * (round as usize + 1));
                let (frame_id, newest) = camera.newest();
                assert!(newest == visible.converted(shape, plan), "{plan:?}, frame {frame_id}");
            }
        }
    });
}

/// Calls that a converted frame needs, and which of them can fail.
const OF_A_FRAME: [(&str, u32); 7] = [
    ("cuEventRecord", 1),
    ("cuStreamWaitEvent", 1),
    ("cuLaunchKernel", 1),
    // Luma and chroma, while the kernel runs.
    ("cuMemcpy2DAsync_v2", 1),
    ("cuMemcpy2DAsync_v2", 2),
    ("cuEventRecord", 2),
    ("cuEventSynchronize", 1),
];

#[test]
fn each_call_that_fails_costs_its_frame() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let rig = Rig::new(64, 64);
        let (mut camera, shape, plan) = scaled(&rig);
        camera.publish(&rig.device, shape, 1);
        for (function, at) in OF_A_FRAME {
            let newest = camera.newest();
            let [mut surface] = rig.device.decoded(shape, [40]);
            // Queued work takes a while, so that giving up too early is detected.
            simulator.set("clear_faults=");
            simulator.set("copy_us_per_mib=2000000");
            if function != "cuLaunchKernel" {
                simulator.set("fault=cuLaunchKernel:1:slow=20000");
            }
            let busy_drops = Arc::new(AtomicU32::new(0));
            surface.busy_drops = Some(Arc::clone(&busy_drops));
            simulator.set(&format!("fault={function}:{at}:CUDA_ERROR_LAUNCH_FAILED"));
            match camera.outcome_of(surface) {
                Outcome::Failed(Failure::Cuda(error)) => assert_eq!(error.function, function),
                other => panic!("{function}, {at}: {other:?}"),
            }
            assert_eq!(busy_drops.load(Ordering::SeqCst), 0, "{function}: given up too early");
            simulator.set("copy_us_per_mib=0");
            assert!(camera.newest() == newest, "{function}: the newest frame changed");
            let (outcome, visible) = camera.pass(&rig.device, shape, 41);
            assert!(is_published(&outcome), "{function}, next: {outcome:?}");
            assert!(camera.newest().1 == visible.converted(shape, &plan), "{function}, next");
            assert_eq!(camera.copy_queue.in_flight(), 0);
        }
        assert_eq!(rig.engine.status().lost, None);
    });
}

/// Without kernels or memory for their output frames are given up, with the reason, until there are.
#[test]
fn what_conversion_needs_is_tried_again() {
    let faults =
        ["cuModuleLoadData", "cuModuleGetFunction", "cuMemAlloc_v2"].map(|function| (function, 1));
    SimulatedGpu::new().in_clean_child(|simulator| {
        for (function, at) in faults {
            let rig = Rig::new(64, 64);
            let (mut camera, shape, plan) = scaled(&rig);
            let [surface, second] = rig.device.decoded(shape, [1, 2]);
            simulator.set(&format!("fault={function}:{at}:CUDA_ERROR_OUT_OF_MEMORY"));
            match camera.outcome_of(surface) {
                Outcome::Failed(Failure::NotConverted(NoKernels::Cuda(error))) => {
                    assert_eq!(error.function, function);
                }
                other => panic!("{function}: {other:?}"),
            }
            let why = rig.engine.status().not_converted.unwrap().to_string();
            assert!(why.starts_with(&format!("{function} failed")), "{why}");
            // The driver is not asked again for each frame.
            let calls = simulator.calls(function);
            let refused = camera.outcome_of(second);
            assert!(matches!(refused, Outcome::Failed(Failure::NotConverted(_))), "{refused:?}");
            assert_eq!(simulator.calls(function), calls);

            rig.engine.housekeep();
            until(|| rig.engine.status().not_converted.is_none());
            let visible = camera.publish(&rig.device, shape, 3);
            assert!(camera.newest().1 == visible.converted(shape, &plan), "{function}, next");
            // Frames that need no conversion were not affected.
            let mut plain = rig.another_camera(96, 64);
            plain.publish(&rig.device, Shape::plain(96, 64), 4);
        }
    });
}

/// A kernel that fails on the device breaks the context, like a copy.
#[test]
fn a_kernel_that_fails_loses_the_device() {
    SimulatedGpu::new().allowing(&["leak"]).in_clean_child(|simulator| {
        let rig = Rig::new(64, 64);
        let (mut camera, shape, _) = scaled(&rig);
        camera.publish(&rig.device, shape, 1);
        simulator.set("fault=cuLaunchKernel:1:async=CUDA_ERROR_ILLEGAL_ADDRESS");
        let (outcome, _) = camera.pass(&rig.device, shape, 2);
        assert_eq!(outcome, Outcome::Failed(Failure::DeviceLost));
        assert_eq!(rig.device.lost.load(Ordering::SeqCst), 1);
        let lost = rig.engine.status().lost.unwrap();
        assert_eq!(lost.name, Some("CUDA_ERROR_ILLEGAL_ADDRESS"));
        assert_eq!(camera.readable(), [1]);
    });
}

/// The memory of a ring goes with it.
#[test]
fn device_memory_is_freed_with_its_ring() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let rig = Rig::new(64, 64);
        let before = simulator.level("device_bytes");
        let (mut camera, shape, _) = scaled(&rig);
        camera.publish(&rig.device, shape, 1);
        assert!(simulator.level("device_bytes") > before);
        drop(camera);
        // The engine counts what it has freed a little later.
        until(|| {
            rig.engine.housekeep();
            let scratch_bytes = rig.engine.status().scratch_bytes;
            simulator.level("device_bytes") == before && scratch_bytes == 0
        });
        // Likewise when another device takes the ring over.
        let (mut camera, shape, _) = scaled(&rig);
        camera.publish(&rig.device, shape, 2);
        rig.engine.release(camera.writer.pages());
        until(|| simulator.level("device_bytes") == before);
    });
}

#[test]
fn a_surface_of_another_size_than_the_plan_is_refused() {
    SimulatedGpu::new().in_clean_child(|_| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let plan = plan((96, 64), request(40, None, Fit::Fit), ColorInfo::default());
        let mut camera = Camera::scaled(&engine, plan);
        let (outcome, _) = camera.pass(&device, Shape::plain(96, 66), 1);
        assert_eq!(outcome, Outcome::Failed(Failure::Size(96, 66, 40, 27)));
        drop(camera);
        engine.stop();
    });
}
