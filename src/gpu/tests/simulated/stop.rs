//! The end, with work in flight and with copy queues that outlive the engine.

use vas_frame::{Stamp, monotonic_ns};
use vas_gpu::{Failure, NotAdmitted, Outcome};
use vas_sim_gpu::testing::SimulatedGpu;

use crate::rig::{Camera, Device, IN_FLIGHT, geometry, is_published};
use crate::surface::{Shape, TestSurface};

#[test]
fn what_is_in_flight_is_finished() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut cameras: Vec<_> = (0..4).map(|_| Camera::new(&engine, geometry(64, 64))).collect();
        simulator.set("copy_us_per_mib=1000000");
        for camera in &mut cameras {
            for seed in 0..u64::from(IN_FLIGHT) {
                let shape = Shape::drawn(64, 64, seed);
                let surface = TestSurface::decode(shape, seed, device.decode).0;
                camera.submit(surface).unwrap();
            }
        }
        engine.stop();
        for camera in &cameras {
            let seen = camera.seen.so_far();
            assert_eq!(seen.len(), IN_FLIGHT as usize);
            assert!(seen.iter().all(|(_, outcome)| is_published(outcome)));
            assert_eq!(camera.readable(), [1, 2, 3]);
            assert_eq!(camera.copy_queue.admit().unwrap_err(), NotAdmitted::Stopped);
        }
        assert_eq!(simulator.level("pinned_bytes"), 0, "rings and surfaces are given back");
        assert_eq!(simulator.level("events"), 0);
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_frame_admitted_before_the_end_and_submitted_after_it_is_reported() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(64, 64));
        let surface = TestSurface::decode(Shape::plain(64, 64), 1, device.decode).0;
        let permit = camera.copy_queue.admit().unwrap();
        engine.prepare(camera.writer.pages());
        engine.stop();
        let slot = camera.writer.claim(monotonic_ns()).unwrap();
        camera.copy_queue.submit(permit, surface, slot, Stamp { frame_id: 9, ..Stamp::default() });
        assert_eq!(camera.seen.so_far(), [(9, Outcome::Failed(Failure::Stopped))]);
        assert_eq!(camera.copy_queue.in_flight(), 0);
        // Nothing of the engine holds the ring.
        let mut pages = camera.writer.pages();
        drop(camera);
        assert!(pages.are_left());
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_frame_submitted_during_the_end_is_reported() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(64, 64));
        assert!(is_published(&camera.pass(&device, Shape::plain(64, 64), 1).0));
        let [first, second] =
            [2, 3].map(|seed| TestSurface::decode(Shape::plain(64, 64), seed, device.decode).0);
        device.context.synchronize().unwrap();
        // The end waits for this copy.
        simulator.set("fault=cuMemcpy2DAsync_v2:1:slow=200000");
        let permit = camera.copy_queue.admit().unwrap();
        camera.submit(first).unwrap();
        while simulator.level("pending_copies") == 0 {
            std::thread::yield_now();
        }
        std::thread::scope(|scope| {
            let end = scope.spawn(|| engine.stop());
            while camera.copy_queue.admit().is_ok() {
                std::thread::yield_now();
            }
            // The engine's thread may still take it, or have passed by.
            camera.submit_admitted(permit, second);
            end.join().unwrap();
        });
        let seen = camera.seen.so_far();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert_eq!(camera.copy_queue.in_flight(), 0);
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn hand_overs_race_with_the_end() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let device = Device::open();
        for round in 0..20 {
            let engine = device.start_engine().unwrap();
            let mut camera = Camera::new(&engine, geometry(64, 64));
            let surfaces: Vec<_> = (0..6)
                .map(|seed| TestSurface::decode(Shape::plain(64, 64), seed, device.decode).0)
                .collect();
            let submitted = std::thread::scope(|scope| {
                let tap = scope.spawn(|| {
                    device.context.bind_to_thread().unwrap();
                    let mut submitted = 0;
                    for surface in surfaces {
                        submitted += usize::from(camera.submit(surface).is_ok());
                    }
                    submitted
                });
                for _ in 0..round * 50 {
                    std::hint::spin_loop();
                }
                engine.stop();
                tap.join().unwrap()
            });
            assert_eq!(camera.seen.so_far().len(), submitted, "each is told of, once");
            assert_eq!(camera.copy_queue.in_flight(), 0);
        }
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}
