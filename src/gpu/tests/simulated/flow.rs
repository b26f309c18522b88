//! Order, bounds, and that submitting never waits.

use vas_gpu::NotAdmitted;
use vas_sim_gpu::testing::SimulatedGpu;

use crate::rig::{Camera, Device, IN_FLIGHT, geometry, is_published};
use crate::surface::{Shape, TestSurface};

const SHAPE: (usize, usize) = (128, 96);

fn shape() -> Shape {
    Shape::plain(SHAPE.0, SHAPE.1)
}

#[test]
fn frames_of_each_camera_are_published_in_their_order() {
    let gpu = SimulatedGpu::new().set("copy_us_per_mib", 20_000).set("jitter_percent", 90);
    let Some(run) = gpu.in_child(|_| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut cameras: Vec<_> =
            (0..4).map(|_| Camera::new(&engine, geometry(SHAPE.0, SHAPE.1))).collect();
        for seed in 0..200 {
            for camera in &mut cameras {
                let (surface, _) = TestSurface::decode(shape(), seed, device.decode);
                while camera.copy_queue.in_flight() == IN_FLIGHT {
                    std::thread::yield_now();
                }
                camera.submit(surface).unwrap();
            }
        }
        for camera in &cameras {
            let seen = camera.seen.wait(200);
            let ids: Vec<u64> = seen.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids, (1..=200).collect::<Vec<_>>());
            assert!(seen.iter().all(|(_, outcome)| is_published(outcome)));
        }
        drop(cameras);
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn slow_copies_delay_no_submitter() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(SHAPE.0, SHAPE.1));
        assert!(is_published(&camera.pass(&device, shape(), 1).0));
        let surfaces: Vec<_> =
            (0..30).map(|seed| TestSurface::decode(shape(), seed, device.decode).0).collect();
        device.context.synchronize().unwrap();
        // A copy takes an hour: a hand-over that waited for one would not come back.
        simulator.set("jitter_percent=0");
        simulator.set("fault=cuMemcpy2DAsync_v2:1:slow=3600000000");
        simulator.forbid_this_thread(true);
        let mut refused = Vec::with_capacity(surfaces.len());
        let ((), allocations) = vas_malloc_count::count(|| {
            for surface in surfaces {
                match camera.copy_queue.admit() {
                    Ok(permit) => {
                        let now_ns = vas_frame::monotonic_ns();
                        let slot = camera.writer.claim(now_ns).unwrap();
                        let stamp = vas_frame::Stamp { frame_id: 50, ..Default::default() };
                        camera.copy_queue.submit(permit, surface, slot, stamp);
                    }
                    // Dropped later: this thread must not call the driver.
                    Err(why) => refused.push((why, surface)),
                }
            }
        });
        simulator.forbid_this_thread(false);
        assert_eq!(allocations, 0);
        assert_eq!(refused.len(), 30 - IN_FLIGHT as usize);
        assert!(refused.iter().all(|(why, _)| *why == NotAdmitted::InFlight));
        assert_eq!(camera.copy_queue.in_flight(), IN_FLIGHT);
        assert_eq!(camera.readable(), [1], "the older frame stays");
        // Nothing waits for that hour: the process ends, and live objects are leaks.
        camera.remove_files();
        std::mem::forget((engine, camera, refused));
    }) else {
        return;
    };
    assert!(run.report.misuses.iter().all(|misuse| misuse.kind == "leak"), "{:#?}", run.report);
}

#[test]
fn lanes_have_no_more_places_than_the_engine() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let seen = std::sync::Arc::new(crate::rig::Seen::default());
        let first = engine.copy_queue(60, seen.clone()).unwrap();
        let refused = engine.copy_queue(5, seen.clone()).unwrap_err();
        assert_eq!((refused.wanted, refused.left), (5, 4));
        drop(first);
        engine.copy_queue(64, seen).unwrap();
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn in_steady_state_nothing_is_created() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(SHAPE.0, SHAPE.1));
        camera.pass(&device, shape(), 1);
        let made = ["cuEventCreate", "cuStreamCreate", "cuMemHostRegister_v2", "cuMemAllocHost_v2"];
        let before = made.map(|function| simulator.calls(function));
        for seed in 0..50 {
            assert!(is_published(&camera.pass(&device, shape(), seed).0));
        }
        assert_eq!(made.map(|function| simulator.calls(function)), before);
        drop(camera);
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    // Six calls a frame: record, wait, two planes, record; and the reaper's wait.
    let ours = run.calls.iter().filter(|call| call.thread.starts_with("vas-"));
    let ours: Vec<&str> = ours.map(|call| call.function.as_str()).collect();
    let count = |function| ours.iter().filter(|called| **called == function).count();
    assert_eq!(count("cuEventRecord"), 2 * 51);
    assert_eq!(count("cuStreamWaitEvent"), 51);
    assert_eq!(count("cuMemcpy2DAsync_v2"), 2 * 51);
    assert_eq!(count("cuEventSynchronize"), 51);
    assert_eq!(count("cuStreamQuery"), 0);
}
