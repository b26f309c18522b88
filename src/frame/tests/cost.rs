//! Reading allocates no memory once a picture of that size was copied.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, Geometry, Notifier, Nv12Image, OpenRing,
    PublishMeta, Reader, RingOptions, monotonic_ns,
};
use vas_malloc_count::count;

#[test]
fn reading_allocates_nothing() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
    let notifier = Arc::new(Notifier::start().unwrap());
    let camera = CameraId::new("gate").unwrap();
    let mut export = CameraExport::claim(&root, &camera, &notifier).unwrap();
    let geometry = Geometry::new(33, 17, Color::default(), 8).unwrap();
    let options = RingOptions { slots: 4, lease: Duration::ZERO, frame_rate: None };
    let OpenRing::Ready(mut writer) = export.open_ring(geometry, options).unwrap() else {
        panic!("the first ring waits for nothing")
    };
    let mut reader = Reader::options().dir(dir.path()).open(&camera).unwrap();
    let mut image = Nv12Image::default();
    for frame_id in 1..=100 {
        let slot = writer.claim(monotonic_ns()).unwrap();
        slot.publish(&PublishMeta {
            frame_id,
            arrival_ns: monotonic_ns(),
            ..PublishMeta::default()
        });
        let (bytes, allocations) = count(|| {
            let frame = match frame_id % 4 {
                0 => reader.next(),
                1 => reader.newer(),
                2 => reader.newer_if(|meta| meta.frame_id == frame_id),
                _ => reader.latest(),
            };
            let frame = frame.unwrap();
            frame.copy_if_valid(&mut image).unwrap();
            let in_place = frame.raw().y.iter().flat_map(|row| row.iter()).count();
            (frame.id(), frame.still_valid(), in_place)
        });
        assert_eq!(bytes, (frame_id, true, 33 * 17));
        assert_eq!(
            allocations,
            u64::from(frame_id == 1),
            "only the first picture allocates, frame {frame_id}"
        );
    }
}
