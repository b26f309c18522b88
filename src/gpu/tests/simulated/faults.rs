//! Each call fails once: the frame is dropped and reported, older ones stay, the next one works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vas_gpu::{Failure, NotAdmitted, Outcome, StartError};
use vas_sim_gpu::testing::{SimulatedGpu, Simulator};

use crate::rig::{Camera, Device, geometry, is_published};
use crate::surface::{Panics, Shape, TestSurface};

fn shape() -> Shape {
    Shape::drawn(96, 64, 5)
}

/// Functions that a frame needs, and which of their calls can fail.
const OF_A_FRAME: [(&str, u32); 6] = [
    // On the decode stream; after the copy.
    ("cuEventRecord", 1),
    ("cuEventRecord", 2),
    ("cuStreamWaitEvent", 1),
    // Luma; chroma, while luma is being copied.
    ("cuMemcpy2DAsync_v2", 1),
    ("cuMemcpy2DAsync_v2", 2),
    ("cuEventSynchronize", 1),
];

fn fails_once(simulator: &Simulator, camera: &mut Camera, device: &Device, fault: (&str, u32)) {
    let (function, at) = fault;
    let older = camera.readable();
    let newest = camera.newest();
    simulator.set("clear_faults=");
    let (mut surface, _) = TestSurface::decode(shape(), 40, device.decode);
    device.context.synchronize().unwrap();
    // Queued work takes a while, so that giving up too early is detected.
    simulator.set("copy_us_per_mib=500000");
    let busy_drops = Arc::new(AtomicU32::new(0));
    surface.busy_drops = Some(Arc::clone(&busy_drops));
    let before = camera.seen.so_far().len();
    simulator.set(&format!("fault={function}:{at}:CUDA_ERROR_LAUNCH_FAILED"));
    camera.submit(surface).unwrap();
    match camera.seen.wait(before + 1)[before].1 {
        Outcome::Failed(Failure::Cuda(error)) => {
            assert_eq!((error.function, error.name), (function, Some("CUDA_ERROR_LAUNCH_FAILED")));
        }
        other => panic!("{fault:?}: {other:?}"),
    }
    assert_eq!(busy_drops.load(Ordering::SeqCst), 0, "{fault:?}: given up while copies ran");
    simulator.set("copy_us_per_mib=0");
    // The claimed slot held at most the oldest frame.
    let readable = camera.readable();
    assert!(older.ends_with(&readable) && older.len() - readable.len() <= 1, "{fault:?}");
    assert!(camera.newest() == newest, "{fault:?}: the newest frame changed");
    let (outcome, visible) = camera.pass(device, shape(), 41);
    assert!(is_published(&outcome), "{fault:?}, next: {outcome:?}");
    assert!(camera.newest().1 == visible, "{fault:?}, next: other bytes");
    assert_eq!(camera.copy_queue.in_flight(), 0);
}

#[test]
fn at_each_call_of_a_frame() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(96, 64));
        for seed in 0..3 {
            assert!(is_published(&camera.pass(&device, shape(), seed).0));
        }
        for fault in OF_A_FRAME {
            fails_once(simulator, &mut camera, &device, fault);
        }
        assert_eq!(device.lost.load(Ordering::SeqCst), 0);
        assert_eq!(engine.status().lost, None);
        drop(camera);
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn at_what_is_made_for_a_first_frame() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(96, 64));
        simulator.set("fault=cuEventCreate:1:CUDA_ERROR_OUT_OF_MEMORY");
        let (outcome, _) = camera.pass(&device, shape(), 1);
        assert!(matches!(outcome, Outcome::Failed(Failure::Cuda(_))), "{outcome:?}");
        assert!(is_published(&camera.pass(&device, shape(), 2).0));
        // For the first frame a ring that can't be pinned, and no staging memory either.
        simulator.set("fault=cuMemHostRegister_v2:1:CUDA_ERROR_OUT_OF_MEMORY");
        simulator.set("fault=cuMemAllocHost_v2:1:CUDA_ERROR_OUT_OF_MEMORY");
        let mut staged = Camera::new(&engine, geometry(96, 64));
        let (outcome, _) = staged.pass(&device, shape(), 3);
        match outcome {
            Outcome::Failed(Failure::Cuda(error)) => {
                assert_eq!(error.function, "cuMemAllocHost_v2")
            }
            other => panic!("{other:?}"),
        }
        let (outcome, visible) = staged.pass(&device, shape(), 4);
        assert!(is_published(&outcome));
        assert!(staged.newest() == (2, visible));
        for fault in OF_A_FRAME {
            fails_once(simulator, &mut staged, &device, fault);
        }
        drop((camera, staged));
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn an_engine_that_can_not_start_leaves_nothing() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        for function in ["cuCtxSetCurrent", "cuStreamCreate", "cuEventCreate"] {
            simulator.set(&format!("fault={function}:1:CUDA_ERROR_OUT_OF_MEMORY"));
            let error = device.start_engine().unwrap_err();
            assert!(matches!(&error, StartError::Cuda(e) if e.function == function), "{error}");
        }
        device.start_engine().unwrap().stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

/// A release that the driver refuses is logged, and has no other effect.
#[test]
fn at_each_call_that_gives_back() {
    let faults = [
        "cuMemHostUnregister:1:CUDA_ERROR_UNKNOWN",
        "cuEventDestroy_v2:1:CUDA_ERROR_UNKNOWN",
        "cuStreamDestroy_v2:1:CUDA_ERROR_UNKNOWN",
    ];
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(96, 64));
        assert!(is_published(&camera.pass(&device, shape(), 1).0));
        simulator.set(&format!("fault={}", faults.join(";")));
        engine.stop();
        assert_eq!(camera.readable(), [1]);
        device.close();
    }) else {
        return;
    };
    // The simulated device keeps what it was set to refuse.
    assert!(run.report.misuses.iter().all(|misuse| misuse.kind == "leak"), "{:#?}", run.report);
    assert_eq!(run.report.count("leak"), faults.len());
}

#[test]
fn a_lost_device_is_reported_once() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(96, 64));
        let mut other = Camera::new(&engine, geometry(96, 64));
        assert!(is_published(&camera.pass(&device, shape(), 1).0));
        let newest = camera.newest();
        let frames: Vec<_> =
            (0..4).map(|seed| TestSurface::decode(shape(), seed, device.decode).0).collect();
        device.context.synchronize().unwrap();
        // Copies are in flight when it is lost.
        simulator.set("fault=cuMemcpy2DAsync_v2:1+:slow=3600000000");
        let mut frames = frames.into_iter();
        camera.submit(frames.next().unwrap()).unwrap();
        camera.submit(frames.next().unwrap()).unwrap();
        while simulator.calls("cuEventSynchronize") < 2 {
            std::thread::yield_now();
        }
        simulator.set("fault=device_lost:0@call 1");
        other.submit(frames.next().unwrap()).unwrap();
        let told = camera.seen.wait(3);
        let lost = Outcome::Failed(Failure::DeviceLost);
        assert_eq!(told[1..], [(2, lost), (3, lost)]);
        assert_eq!(other.seen.wait(1), [(1, lost)]);
        assert_eq!(camera.copy_queue.admit().unwrap_err(), NotAdmitted::DeviceLost);
        assert_eq!(other.copy_queue.admit().unwrap_err(), NotAdmitted::DeviceLost);
        assert_eq!(device.lost.load(Ordering::SeqCst), 1);
        assert!(engine.status().lost.is_some());
        assert_eq!((camera.copy_queue.in_flight(), other.copy_queue.in_flight()), (0, 0));
        assert!(camera.newest() == newest);
        engine.stop();
        drop(frames);
        device.close();
    }) else {
        return;
    };
    // No call waits for a lost device: its copies, which write no more, may not all be cancelled
    // yet.
    let expected = ["leak", "unregister_in_use"];
    let other = run.report.misuses.iter().find(|misuse| !expected.contains(&misuse.kind.as_str()));
    assert_eq!(other, None);
}

#[test]
fn a_device_lost_while_nothing_is_in_flight_is_found_by_the_next_frame() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(96, 64));
        assert!(is_published(&camera.pass(&device, shape(), 1).0));
        let frames = [2, 3].map(|seed| TestSurface::decode(shape(), seed, device.decode).0);
        device.context.synchronize().unwrap();
        let [second, third] = frames;
        let admitted = camera.copy_queue.admit().unwrap();
        simulator.set("fault=device_lost:0@call 1");
        camera.submit(second).unwrap();
        assert_eq!(camera.seen.wait(2)[1], (2, Outcome::Failed(Failure::DeviceLost)));
        assert_eq!(camera.copy_queue.admit().unwrap_err(), NotAdmitted::DeviceLost);
        // A frame that was admitted before costs no driver call.
        let calls = simulator.calls("cuEventRecord");
        camera.submit_admitted(admitted, third);
        assert_eq!(camera.seen.wait(3)[2], (3, Outcome::Failed(Failure::DeviceLost)));
        assert_eq!(simulator.calls("cuEventRecord"), calls);
        assert_eq!(device.lost.load(Ordering::SeqCst), 1);
        assert_eq!(camera.readable(), [1]);
        engine.stop();
        device.close();
    }) else {
        return;
    };
    assert!(run.report.misuses.iter().all(|misuse| misuse.kind == "leak"), "{:#?}", run.report);
}

/// Pages are pinned for the whole process: the lost device must unpin them.
#[test]
fn another_device_takes_a_camera_over_with_its_ring() {
    let Some(run) = SimulatedGpu::new().set("devices", 2).in_child(|simulator| {
        let devices = [0, 1].map(Device::open_number);
        let engines = [0, 1].map(|i| devices[i].start_engine().unwrap());
        devices[0].context.bind_to_thread().unwrap();
        let mut camera = Camera::new(&engines[0], geometry(96, 64));
        assert!(is_published(&camera.pass(&devices[0], shape(), 1).0));
        let (surface, _) = TestSurface::decode(shape(), 2, devices[0].decode);
        devices[0].context.synchronize().unwrap();
        simulator.set("fault=device_lost:0@call 1");
        camera.submit(surface).unwrap();
        assert_eq!(camera.seen.wait(2)[1], (2, Outcome::Failed(Failure::DeviceLost)));
        while simulator.level("pinned_bytes") > 0 || engines[0].status().pinned_rings > 0 {
            std::thread::yield_now();
        }

        devices[1].context.bind_to_thread().unwrap();
        camera.copy_queue = engines[1].copy_queue(3, Arc::clone(&camera.seen) as _).unwrap();
        let (outcome, visible) = camera.pass(&devices[1], shape(), 3);
        assert!(is_published(&outcome));
        assert!(camera.newest() == (3, visible));
        assert_eq!(camera.readable(), [1, 3]);
        let status = engines[1].status();
        assert_eq!((status.pinned_rings, status.staged_rings), (1, 0));
        drop(camera);
        engines.into_iter().for_each(vas_gpu::Engine::stop);
        devices.into_iter().for_each(Device::close);
    }) else {
        return;
    };
    assert!(run.report.misuses.iter().all(|misuse| misuse.kind == "leak"), "{:#?}", run.report);
}

/// Work that fails on the stream breaks the context: that counts as a lost device, too.
#[test]
fn a_context_that_comes_to_harm_is_lost() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(96, 64));
        assert!(is_published(&camera.pass(&device, shape(), 1).0));
        simulator.set("fault=cuMemcpy2DAsync_v2:2:async=CUDA_ERROR_ILLEGAL_ADDRESS");
        let (outcome, _) = camera.pass(&device, shape(), 2);
        assert_eq!(outcome, Outcome::Failed(Failure::DeviceLost));
        assert_eq!(device.lost.load(Ordering::SeqCst), 1);
        let lost = engine.status().lost.unwrap();
        assert_eq!(lost.name, Some("CUDA_ERROR_ILLEGAL_ADDRESS"));
        assert_eq!(camera.readable(), [1]);
        engine.stop();
        device.close();
    }) else {
        return;
    };
    assert!(run.report.misuses.iter().all(|misuse| misuse.kind == "leak"), "{:#?}", run.report);
}

#[test]
fn a_panic_of_either_thread_costs_its_frame_and_is_told() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(96, 64));
        assert!(is_published(&camera.pass(&device, shape(), 1).0));
        for (panics, words) in [(Panics::Planes, "download engine: "), (Panics::Drop, "reaper: ")] {
            let (mut surface, _) = TestSurface::decode(shape(), 2, device.decode);
            surface.panics = Some(panics);
            let before = camera.seen.so_far().len();
            camera.submit(surface).unwrap();
            let (_, outcome) = camera.seen.wait(before + 1)[before];
            match panics {
                Panics::Planes => assert_eq!(outcome, Outcome::Failed(Failure::Internal)),
                // By then readers can see it.
                Panics::Drop => assert!(is_published(&outcome), "{outcome:?}"),
            }
            let told = std::mem::take(&mut *device.panics.lock().unwrap());
            assert!(matches!(&told[..], [one] if one.starts_with(words)), "{told:?}");
            // Both go on, and no permit is lost.
            for seed in 3..6 {
                let (outcome, visible) = camera.pass(&device, shape(), seed);
                assert!(is_published(&outcome), "{panics:?}, next: {outcome:?}");
                assert!(camera.newest().1 == visible, "{panics:?}, next: other bytes");
            }
            assert_eq!(camera.copy_queue.in_flight(), 0);
        }
        drop(camera);
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}
