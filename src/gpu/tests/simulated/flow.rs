//! Order, bounds, and that submitting never waits.

use std::sync::Arc;

use vas_gpu::NotAdmitted;
use vas_sim_gpu::testing::SimulatedGpu;

use crate::rig::{Device, IN_FLIGHT, Rig, Seen, is_published, until};
use crate::surface::Shape;

const WIDTH: usize = 128;
const HEIGHT: usize = 96;

fn shape() -> Shape {
    Shape::plain(WIDTH, HEIGHT)
}

#[test]
fn frames_of_each_camera_are_published_in_their_order() {
    let gpu = SimulatedGpu::new().set("copy_us_per_mib", 20_000).set("jitter_percent", 90);
    gpu.in_clean_child(|_| {
        let rig = Rig::new(WIDTH, HEIGHT);
        let mut cameras = [(); 4].map(|()| rig.another_camera(WIDTH, HEIGHT));
        for seed in 0..200 {
            for camera in &mut cameras {
                let surface = rig.device.decode(shape(), seed);
                until(|| camera.copy_queue.in_flight() < IN_FLIGHT);
                camera.submit(surface).unwrap();
            }
        }
        for camera in &cameras {
            let seen = camera.seen.wait(200);
            let ids: Vec<u64> = seen.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids, (1..=200).collect::<Vec<_>>());
            assert!(seen.iter().all(|(_, outcome)| is_published(outcome)));
        }
    });
}

#[test]
fn slow_copies_delay_no_submitter() {
    // Nothing waits for the copies: the process ends, and live objects are leaks.
    SimulatedGpu::new().allowing(&["leak"]).in_clean_child(|simulator| {
        let mut rig = Rig::new(WIDTH, HEIGHT);
        rig.publish(shape(), 1);
        let surfaces: Vec<_> = (0..30).map(|seed| rig.device.decode(shape(), seed)).collect();
        rig.device.context.synchronize().unwrap();
        // A copy takes an hour: a hand-over that waited for one would not come back.
        simulator.set("jitter_percent=0");
        simulator.set("fault=cuMemcpy2DAsync_v2:1:slow=3600000000");

        simulator.forbid_this_thread(true);
        let mut refused = Vec::with_capacity(surfaces.len());
        let ((), allocations) = vas_malloc_count::count(|| {
            for surface in surfaces {
                match rig.camera.copy_queue.admit() {
                    Ok(permit) => _ = rig.camera.submit_admitted(permit, surface),
                    // Dropped later: this thread must not call the driver.
                    Err(why) => refused.push((why, surface)),
                }
            }
        });
        simulator.forbid_this_thread(false);

        assert_eq!(allocations, 0);
        assert_eq!(refused.len(), 30 - IN_FLIGHT as usize);
        assert!(refused.iter().all(|(why, _)| *why == NotAdmitted::InFlight));
        assert_eq!(rig.camera.copy_queue.in_flight(), IN_FLIGHT);
        assert_eq!(rig.camera.readable(), [1], "the older frame stays");
        rig.camera.remove_files();
        std::mem::forget((rig, refused));
    });
}

#[test]
fn copy_queues_have_no_more_permits_than_the_engine() {
    SimulatedGpu::new().in_clean_child(|_| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let seen = Arc::new(Seen::default());
        let first = engine.copy_queue(60, seen.clone()).unwrap();
        let refused = engine.copy_queue(5, seen.clone()).unwrap_err();
        assert_eq!((refused.wanted, refused.left), (5, 4));
        drop(first);
        engine.copy_queue(64, seen).unwrap();
        engine.stop();
    });
}

#[test]
fn in_steady_state_nothing_is_created() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let mut rig = Rig::new(WIDTH, HEIGHT);
        rig.publish(shape(), 1);
        let made = ["cuEventCreate", "cuStreamCreate", "cuMemHostRegister_v2", "cuMemAllocHost_v2"];
        let before = made.map(|function| simulator.calls(function));
        for seed in 0..50 {
            rig.publish(shape(), seed);
        }
        assert_eq!(made.map(|function| simulator.calls(function)), before);
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
