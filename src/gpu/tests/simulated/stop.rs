//! The end, with work in flight and with copy queues that outlive the engine.

use vas_frame::{PublishMeta, monotonic_ns};
use vas_gpu::{Failure, NotAdmitted, Outcome};
use vas_sim_gpu::testing::SimulatedGpu;

use crate::rig::{IN_FLIGHT, Rig, is_published, until};
use crate::surface::Shape;

const SHAPE: (usize, usize) = (64, 64);

fn shape() -> Shape {
    Shape::plain(SHAPE.0, SHAPE.1)
}

fn rig() -> Rig {
    Rig::new(SHAPE.0, SHAPE.1)
}

#[test]
fn what_is_in_flight_is_finished() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let rig = rig();
        let mut cameras = [(); 4].map(|()| rig.another_camera(SHAPE.0, SHAPE.1));
        simulator.set("copy_us_per_mib=1000000");
        for camera in &mut cameras {
            for seed in 0..u64::from(IN_FLIGHT) {
                let shape = Shape::drawn(SHAPE.0, SHAPE.1, seed);
                camera.submit(rig.device.decode(shape, seed)).unwrap();
            }
        }
        rig.engine.stop();
        for camera in &cameras {
            let seen = camera.seen.so_far();
            assert_eq!(seen.len(), IN_FLIGHT as usize);
            assert!(seen.iter().all(|(_, outcome)| is_published(outcome)));
            assert_eq!(camera.readable(), [1, 2, 3]);
            assert_eq!(camera.copy_queue.admit().unwrap_err(), NotAdmitted::Stopped);
        }
        assert_eq!(simulator.level("pinned_bytes"), 0, "rings and surfaces are given back");
        assert_eq!(simulator.level("events"), 0);
    });
}

#[test]
fn a_frame_admitted_before_the_end_and_submitted_after_it_is_reported() {
    SimulatedGpu::new().in_clean_child(|_| {
        let Rig { mut camera, engine, device } = rig();
        let surface = device.decode(shape(), 1);
        let permit = camera.copy_queue.admit().unwrap();
        engine.prepare(camera.writer.pages(), None);
        engine.stop();
        let slot = camera.writer.claim(monotonic_ns()).unwrap();
        camera.copy_queue.submit(
            permit,
            surface,
            None,
            slot,
            PublishMeta { frame_id: 9, ..PublishMeta::default() },
        );
        assert_eq!(camera.seen.so_far(), [(9, Outcome::Failed(Failure::Stopped))]);
        assert_eq!(camera.copy_queue.in_flight(), 0);
        // Nothing of the engine holds the ring.
        let mut pages = camera.writer.pages();
        drop(camera);
        assert!(pages.are_left());
    });
}

#[test]
fn a_frame_submitted_during_the_end_is_reported() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = rig();
        rig.publish(shape(), 1);
        let [first, second] = rig.device.decoded(shape(), [2, 3]);
        // The end waits for this copy.
        simulator.set("fault=cuMemcpy2DAsync_v2:1:slow=200000");
        let Rig { mut camera, engine, device: _device } = rig;
        let permit = camera.copy_queue.admit().unwrap();
        camera.submit(first).unwrap();
        until(|| simulator.level("pending_copies") > 0);
        std::thread::scope(|scope| {
            let end = scope.spawn(|| engine.stop());
            until(|| camera.copy_queue.admit().is_err());
            // The engine's thread may still take it, or have passed by.
            camera.submit_admitted(permit, second);
            end.join().unwrap();
        });
        let seen = camera.seen.so_far();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert_eq!(camera.copy_queue.in_flight(), 0);
    });
}

#[test]
fn hand_overs_race_with_the_end() {
    SimulatedGpu::new().in_clean_child(|_| {
        for round in 0..20 {
            let Rig { mut camera, engine, device } = rig();
            let surfaces = [0, 1, 2, 3, 4, 5].map(|seed| device.decode(shape(), seed));
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
            assert_eq!(camera.seen.so_far().len(), submitted, "each is reported, once");
            assert_eq!(camera.copy_queue.in_flight(), 0);
        }
    });
}
