//! Each call fails once: the frame is dropped and reported, older ones stay, the next one works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vas_gpu::{Failure, NotAdmitted, Outcome, StartError};
use vas_sim_gpu::testing::{SimulatedGpu, Simulator};

use crate::rig::{Camera, Device, IN_FLIGHT, Rig, is_published, until};
use crate::surface::{Panics, Shape};

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

fn rig() -> Rig {
    Rig::new(96, 64)
}

fn fails_once(simulator: &Simulator, camera: &mut Camera, device: &Device, fault: (&str, u32)) {
    let (function, at) = fault;
    let older = camera.readable();
    let newest = camera.newest();
    simulator.set("clear_faults=");
    let [mut surface] = device.decoded(shape(), [40]);
    // Queued work takes a while, so that giving up too early is detected.
    simulator.set("copy_us_per_mib=500000");
    let busy_drops = Arc::new(AtomicU32::new(0));
    surface.busy_drops = Some(Arc::clone(&busy_drops));
    simulator.set(&format!("fault={function}:{at}:CUDA_ERROR_LAUNCH_FAILED"));
    match camera.outcome_of(surface) {
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
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = rig();
        for seed in 0..3 {
            rig.publish(shape(), seed);
        }
        for fault in OF_A_FRAME {
            fails_once(simulator, &mut rig.camera, &rig.device, fault);
        }
        assert_eq!(rig.device.lost.load(Ordering::SeqCst), 0);
        assert_eq!(rig.engine.status().lost, None);
    });
}

#[test]
fn at_what_is_made_for_a_first_frame() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = rig();
        simulator.set("fault=cuEventCreate:1:CUDA_ERROR_OUT_OF_MEMORY");
        let (outcome, _) = rig.pass(shape(), 1);
        assert!(matches!(outcome, Outcome::Failed(Failure::Cuda(_))), "{outcome:?}");
        rig.publish(shape(), 2);
        // For the first frame a ring that can't be pinned, and no staging memory either.
        simulator.set("fault=cuMemHostRegister_v2:1:CUDA_ERROR_OUT_OF_MEMORY");
        simulator.set("fault=cuMemAllocHost_v2:1:CUDA_ERROR_OUT_OF_MEMORY");
        let mut staged = rig.another_camera(96, 64);
        match staged.pass(&rig.device, shape(), 3).0 {
            Outcome::Failed(Failure::Cuda(error)) => {
                assert_eq!(error.function, "cuMemAllocHost_v2")
            }
            other => panic!("{other:?}"),
        }
        let visible = staged.publish(&rig.device, shape(), 4);
        assert!(staged.newest() == (2, visible));
        for fault in OF_A_FRAME {
            fails_once(simulator, &mut staged, &rig.device, fault);
        }
    });
}

#[test]
fn an_engine_that_can_not_start_leaves_nothing() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let device = Device::open();
        for function in ["cuCtxSetCurrent", "cuStreamCreate", "cuEventCreate"] {
            simulator.set(&format!("fault={function}:1:CUDA_ERROR_OUT_OF_MEMORY"));
            let error = device.start_engine().unwrap_err();
            assert!(matches!(&error, StartError::Cuda(e) if e.function == function), "{error}");
        }
        device.start_engine().unwrap().stop();
    });
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
        let mut rig = rig();
        rig.publish(shape(), 1);
        simulator.set(&format!("fault={}", faults.join(";")));
        rig.engine.stop();
        assert_eq!(rig.camera.readable(), [1]);
    }) else {
        return;
    };
    // The simulated device keeps what it was set to refuse.
    run.report.assert_clean(&["leak"]);
    assert_eq!(run.report.count("leak"), faults.len());
}

#[test]
fn a_lost_device_is_reported_once() {
    // No call waits for a lost device: its copies, which write no more, may not all be cancelled
    // yet.
    let gpu = SimulatedGpu::new().allowing(&["leak", "unregister_in_use"]);
    gpu.in_clean_child(|simulator| {
        let mut rig = rig();
        let mut other = rig.another_camera(96, 64);
        rig.publish(shape(), 1);
        let newest = rig.camera.newest();
        let [first, second, third, fourth] = rig.device.decoded(shape(), [0, 1, 2, 3]);
        // Copies are in flight when it is lost.
        simulator.set("fault=cuMemcpy2DAsync_v2:1+:slow=3600000000");
        rig.camera.submit(first).unwrap();
        rig.camera.submit(second).unwrap();
        until(|| simulator.calls("cuEventSynchronize") >= 2);

        simulator.set("fault=device_lost:0@call 1");
        other.submit(third).unwrap();

        let lost = Outcome::Failed(Failure::DeviceLost);
        assert_eq!(rig.camera.seen.wait(3)[1..], [(2, lost), (3, lost)]);
        assert_eq!(other.seen.wait(1), [(1, lost)]);
        for camera in [&rig.camera, &other] {
            assert_eq!(camera.copy_queue.admit().unwrap_err(), NotAdmitted::DeviceLost);
            assert_eq!(camera.copy_queue.in_flight(), 0);
        }
        assert_eq!(rig.device.lost.load(Ordering::SeqCst), 1);
        assert!(rig.engine.status().lost.is_some());
        assert!(rig.camera.newest() == newest);
        rig.engine.stop();
        // A surface that was never submitted outlives the engine.
        drop(fourth);
    });
}

#[test]
fn a_device_lost_while_nothing_is_in_flight_is_found_by_the_next_frame() {
    SimulatedGpu::new().allowing(&["leak"]).in_clean_child(|simulator| {
        let mut rig = rig();
        rig.publish(shape(), 1);
        let [second, third] = rig.device.decoded(shape(), [2, 3]);
        let admitted = rig.camera.copy_queue.admit().unwrap();
        simulator.set("fault=device_lost:0@call 1");
        assert_eq!(rig.camera.outcome_of(second), Outcome::Failed(Failure::DeviceLost));
        assert_eq!(rig.camera.copy_queue.admit().unwrap_err(), NotAdmitted::DeviceLost);
        // A frame that was admitted before costs no driver call.
        let calls = simulator.calls("cuEventRecord");
        rig.camera.submit_admitted(admitted, third);
        assert_eq!(rig.camera.seen.wait(3)[2], (3, Outcome::Failed(Failure::DeviceLost)));
        assert_eq!(simulator.calls("cuEventRecord"), calls);
        assert_eq!(rig.device.lost.load(Ordering::SeqCst), 1);
        assert_eq!(rig.camera.readable(), [1]);
    });
}

/// Pages are pinned for the whole process: the lost device must unpin them.
#[test]
fn another_device_takes_a_camera_over_with_its_ring() {
    SimulatedGpu::new().set("devices", 2).allowing(&["leak"]).in_clean_child(|simulator| {
        let other = Device::open_number(1);
        let other_engine = other.start_engine().unwrap();
        let mut rig = rig();
        rig.publish(shape(), 1);
        let [surface] = rig.device.decoded(shape(), [2]);
        simulator.set("fault=device_lost:0@call 1");
        assert_eq!(rig.camera.outcome_of(surface), Outcome::Failed(Failure::DeviceLost));
        until(|| simulator.level("pinned_bytes") == 0 && rig.engine.status().pinned_rings == 0);

        other.context.bind_to_thread().unwrap();
        let seen = Arc::clone(&rig.camera.seen);
        rig.camera.copy_queue = other_engine.copy_queue(IN_FLIGHT, seen).unwrap();
        let visible = rig.camera.publish(&other, shape(), 3);

        assert!(rig.camera.newest() == (3, visible));
        assert_eq!(rig.camera.readable(), [1, 3]);
        let status = other_engine.status();
        assert_eq!((status.pinned_rings, status.staged_rings), (1, 0));
    });
}

/// Work that fails on the stream breaks the context: that counts as a lost device, too.
#[test]
fn a_context_that_comes_to_harm_is_lost() {
    SimulatedGpu::new().allowing(&["leak"]).in_clean_child(|simulator| {
        let mut rig = rig();
        rig.publish(shape(), 1);
        simulator.set("fault=cuMemcpy2DAsync_v2:2:async=CUDA_ERROR_ILLEGAL_ADDRESS");
        let (outcome, _) = rig.pass(shape(), 2);
        assert_eq!(outcome, Outcome::Failed(Failure::DeviceLost));
        assert_eq!(rig.device.lost.load(Ordering::SeqCst), 1);
        let lost = rig.engine.status().lost.unwrap();
        assert_eq!(lost.name, Some("CUDA_ERROR_ILLEGAL_ADDRESS"));
        assert_eq!(rig.camera.readable(), [1]);
    });
}

#[test]
fn a_panic_of_either_thread_costs_its_frame_and_is_told() {
    SimulatedGpu::new().in_clean_child(|_| {
        let mut rig = rig();
        rig.publish(shape(), 1);
        for (panics, words) in [(Panics::Planes, "download engine: "), (Panics::Drop, "reaper: ")] {
            let mut surface = rig.device.decode(shape(), 2);
            surface.panics = Some(panics);
            let outcome = rig.camera.outcome_of(surface);
            match panics {
                Panics::Planes => assert_eq!(outcome, Outcome::Failed(Failure::Internal)),
                // By then readers can see it.
                Panics::Drop => assert!(is_published(&outcome), "{outcome:?}"),
            }
            let told = std::mem::take(&mut *rig.device.panics.lock().unwrap());
            assert!(matches!(&told[..], [one] if one.starts_with(words)), "{told:?}");
            // Both go on, and no permit is lost.
            for seed in 3..6 {
                let visible = rig.publish(shape(), seed);
                assert!(rig.camera.newest().1 == visible, "{panics:?}, next: other bytes");
            }
            assert_eq!(rig.camera.copy_queue.in_flight(), 0);
        }
    });
}
