//! Rings are pinned once, and unpinned when given up and before they are unmapped.

use vas_gpu::Status;
use vas_sim_gpu::testing::SimulatedGpu;

use crate::rig::{Camera, Rig, SLOTS, geometry, open, until};
use crate::surface::Shape;

fn ring_bytes(width: usize, height: usize) -> usize {
    (geometry(width, height).slot_stride() * u64::from(SLOTS)) as usize
}

#[test]
fn a_ring_is_prepared_before_its_first_frame() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = Rig::new(64, 64);
        rig.engine.prepare(rig.camera.writer.pages(), None);
        until(|| rig.engine.status().pinned_rings == 1);
        assert_eq!(rig.engine.status().pinned_bytes, ring_bytes(64, 64));
        rig.publish(Shape::plain(64, 64), 1);
        rig.engine.prepare(rig.camera.writer.pages(), None);
        rig.publish(Shape::plain(64, 64), 2);
        assert_eq!(simulator.calls("cuMemHostRegister_v2"), 1);
    });
}

#[test]
fn epochs_on_the_same_pages_share_their_pinning_and_wait_for_copies() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = Rig::new(128, 128);
        rig.publish(Shape::plain(128, 128), 1);
        let pages = rig.camera.writer.pages().start();
        // Frames are in flight as the size changes.
        simulator.set("copy_us_per_mib=2000000");
        for seed in 2..4 {
            let surface = rig.device.decode(Shape::drawn(128, 128, seed), seed);
            rig.camera.submit(surface).unwrap();
        }

        // As the tap does: drops its writer, and asks until there is a ring.
        let Camera { mut export, writer, seen, copy_queue, .. } = rig.camera;
        drop(writer);
        let mut refused = 0;
        let writer = loop {
            let in_flight = copy_queue.in_flight();
            match open(&mut export, geometry(100, 120)) {
                Some(writer) => break writer,
                None => refused += 1,
            }
            assert!(in_flight <= 2);
        };

        assert!(refused > 0, "copies were in flight");
        assert_eq!(simulator.level("pending_copies"), 0);
        assert_eq!(seen.wait(3).len(), 3);
        assert_eq!(writer.pages().start(), pages);
        simulator.set("copy_us_per_mib=0");
        assert_eq!(simulator.calls("cuMemHostRegister_v2"), 1);
    });
}

#[test]
fn a_larger_ring_is_pinned_and_the_left_one_is_not_for_long() {
    SimulatedGpu::new().in_clean_child(|simulator| {
        let mut rig = Rig::new(64, 64);
        rig.publish(Shape::plain(64, 64), 1);
        rig.camera.writer = open(&mut rig.camera.export, geometry(256, 256)).unwrap();
        let visible = rig.publish(Shape::drawn(256, 256, 9), 2);
        assert!(rig.camera.newest() == (2, visible));
        // The retired ring stays readable for a while.
        assert_eq!(rig.engine.status().pinned_rings, 2);
        until(|| {
            rig.camera.export.housekeep();
            rig.engine.housekeep();
            rig.engine.status().pinned_rings == 1
        });
        assert_eq!(rig.engine.status().pinned_bytes, ring_bytes(256, 256));
        assert_eq!(simulator.level("pinned_bytes"), ring_bytes(256, 256) as u64);
        // A camera that closes gives up its ring, too.
        let Rig { camera, engine, device: _device } = rig;
        drop(camera);
        engine.housekeep();
        until(|| engine.status() == Status::default());
        assert_eq!(simulator.level("pinned_bytes"), 0);
        engine.stop();
    });
}

#[test]
fn a_ring_that_can_not_be_pinned_is_staged_and_shown_so() {
    let gpu = SimulatedGpu::new().set("fault", "cuMemHostRegister_v2:1:CUDA_ERROR_NOT_SUPPORTED");
    gpu.in_clean_child(|simulator| {
        let mut rig = Rig::new(64, 64);
        for seed in 0..20 {
            let visible = rig.publish(Shape::drawn(64, 64, seed), seed);
            assert!(rig.camera.newest() == (seed + 1, visible));
        }
        let mut pinned = rig.another_camera(64, 64);
        pinned.publish(&rig.device, Shape::plain(64, 64), 1);
        let status = rig.engine.status();
        assert_eq!((status.staged_rings, status.pinned_rings), (1, 1));
        assert_eq!(status.staging_bytes as u64, geometry(64, 64).picture_bytes());
        assert_eq!(status.not_pinned.unwrap().name, Some("CUDA_ERROR_NOT_SUPPORTED"));
        assert_eq!(simulator.calls("cuMemHostRegister_v2"), 2, "once a ring, not once a frame");
        assert_eq!(simulator.calls("cuMemAllocHost_v2"), 1);
        // A larger picture needs more.
        rig.camera.writer = open(&mut rig.camera.export, geometry(128, 128)).unwrap();
        simulator.set("fault=cuMemHostRegister_v2:1:CUDA_ERROR_NOT_SUPPORTED");
        rig.publish(Shape::plain(128, 128), 1);
        let staging_bytes = rig.engine.status().staging_bytes as u64;
        assert_eq!(staging_bytes, geometry(128, 128).picture_bytes());
    });
}
