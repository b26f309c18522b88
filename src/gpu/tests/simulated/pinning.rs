//! Rings are pinned once, and unpinned when given up and before they are unmapped.

use vas_gpu::Status;
use vas_sim_gpu::testing::SimulatedGpu;

use crate::rig::{Camera, Device, SLOTS, geometry, is_published, open};
use crate::surface::{Shape, TestSurface};

fn ring_bytes(width: usize, height: usize) -> usize {
    (geometry(width, height).slot_stride() * u64::from(SLOTS)) as usize
}

fn until(mut what: impl FnMut() -> bool) {
    while !what() {
        std::thread::yield_now();
    }
}

#[test]
fn a_ring_is_prepared_before_its_first_frame() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(64, 64));
        engine.prepare(camera.writer.pages());
        until(|| engine.status().pinned_rings == 1);
        assert_eq!(engine.status().pinned_bytes, ring_bytes(64, 64));
        assert!(is_published(&camera.pass(&device, Shape::plain(64, 64), 1).0));
        engine.prepare(camera.writer.pages());
        assert!(is_published(&camera.pass(&device, Shape::plain(64, 64), 2).0));
        assert_eq!(simulator.calls("cuMemHostRegister_v2"), 1);
        drop(camera);
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn epochs_on_the_same_pages_share_their_pinning_and_wait_for_copies() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(128, 128));
        assert!(is_published(&camera.pass(&device, Shape::plain(128, 128), 1).0));
        let pages = camera.writer.pages().start();
        // Frames are in flight as the size changes.
        simulator.set("copy_us_per_mib=2000000");
        for seed in 2..4 {
            let shape = Shape::drawn(128, 128, seed);
            camera.submit(TestSurface::decode(shape, seed, device.decode).0).unwrap();
        }
        let smaller = geometry(100, 120);
        let mut refused = 0;
        // As the tap does: drops its writer, and asks until there is a ring.
        let Camera { mut export, writer, seen, copy_queue, .. } = camera;
        drop(writer);
        let writer = loop {
            let in_flight = copy_queue.in_flight();
            match open(&mut export, smaller) {
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
        drop((writer, copy_queue, export));
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_larger_ring_is_pinned_and_the_left_one_is_not_for_long() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut camera = Camera::new(&engine, geometry(64, 64));
        assert!(is_published(&camera.pass(&device, Shape::plain(64, 64), 1).0));
        camera.writer = open(&mut camera.export, geometry(256, 256)).unwrap();
        let (outcome, visible) = camera.pass(&device, Shape::drawn(256, 256, 9), 2);
        assert!(is_published(&outcome));
        assert!(camera.newest() == (2, visible));
        // The retired ring stays readable for a while.
        assert_eq!(engine.status().pinned_rings, 2);
        until(|| {
            camera.export.housekeep();
            engine.housekeep();
            engine.status().pinned_rings == 1
        });
        assert_eq!(engine.status().pinned_bytes, ring_bytes(256, 256));
        assert_eq!(simulator.level("pinned_bytes"), ring_bytes(256, 256) as u64);
        // A camera that closes gives up its ring, too.
        drop(camera);
        engine.housekeep();
        until(|| engine.status() == Status::default());
        assert_eq!(simulator.level("pinned_bytes"), 0);
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_ring_that_can_not_be_pinned_is_staged_and_shown_so() {
    let gpu = SimulatedGpu::new().set("fault", "cuMemHostRegister_v2:1:CUDA_ERROR_NOT_SUPPORTED");
    let Some(run) = gpu.in_child(|simulator| {
        let device = Device::open();
        let engine = device.start_engine().unwrap();
        let mut staged = Camera::new(&engine, geometry(64, 64));
        for seed in 0..20 {
            let (outcome, visible) = staged.pass(&device, Shape::drawn(64, 64, seed), seed);
            assert!(is_published(&outcome));
            assert!(staged.newest() == (seed + 1, visible));
        }
        let mut pinned = Camera::new(&engine, geometry(64, 64));
        assert!(is_published(&pinned.pass(&device, Shape::plain(64, 64), 1).0));
        let status = engine.status();
        assert_eq!((status.staged_rings, status.pinned_rings), (1, 1));
        assert_eq!(status.staging_bytes as u64, geometry(64, 64).picture_bytes());
        assert_eq!(status.not_pinned.unwrap().name, Some("CUDA_ERROR_NOT_SUPPORTED"));
        assert_eq!(simulator.calls("cuMemHostRegister_v2"), 2, "once a ring, not once a frame");
        assert_eq!(simulator.calls("cuMemAllocHost_v2"), 1);
        // A larger picture needs more.
        staged.writer = open(&mut staged.export, geometry(128, 128)).unwrap();
        simulator.set("fault=cuMemHostRegister_v2:1:CUDA_ERROR_NOT_SUPPORTED");
        assert!(is_published(&staged.pass(&device, Shape::plain(128, 128), 1).0));
        assert_eq!(engine.status().staging_bytes as u64, geometry(128, 128).picture_bytes());
        drop((staged, pinned));
        engine.stop();
        device.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}
