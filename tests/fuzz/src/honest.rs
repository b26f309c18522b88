//! The files of an honest writer, which inputs corrupt.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vas_frame::layout::META_FILE;
use vas_frame::{
    Access, CameraExport, Color, ExportError, ExportRoot, FrameRate, Geometry, Notifier, OpenRing,
    PublishMeta, RingOptions, RingWriter, monotonic_ns,
};

use crate::files::camera;
use crate::meta::{in_header, set};

/// Slots of the ring.
const SLOTS: u32 = 4;
/// Bytes of its `frame.data`: pictures of less than a page.
pub(crate) const DATA_LEN: u64 = 4096 * SLOTS as u64;

/// Opens a small ring whose pictures have odd sides, so that rows and planes have padding.
pub(crate) fn open_ring(export: &mut CameraExport) -> Result<RingWriter, ExportError> {
    let geometry = Geometry::new(33, 17, Color::default(), 8).unwrap();
    let options = RingOptions {
        slots: SLOTS,
        lease: Duration::ZERO,
        frame_rate: Some(FrameRate { num: 25, den: 1 }),
    };
    match export.open_ring(geometry, options)? {
        OpenRing::Ready(writer) => Ok(writer),
        OpenRing::NotBefore(_) => panic!("the first ring waits for nothing"),
    }
}

/// Publishes a frame with arbitrary pixels.
pub(crate) fn publish(writer: &mut RingWriter, frame_id: u64) {
    let slot = writer.claim(monotonic_ns()).unwrap();
    slot.publish(&PublishMeta { frame_id, arrival_ns: monotonic_ns(), ..PublishMeta::default() });
}

/// The bytes of a `frame.meta` in use: more frames than slots, copied without a pause.
pub(crate) fn meta(root: &Path) -> Vec<u8> {
    let notifier = Arc::new(Notifier::start().unwrap());
    let root = Arc::new(ExportRoot::open(root, Access::default()).unwrap());
    let mut export = CameraExport::claim(&root, &camera(), &notifier).unwrap();
    let mut writer = open_ring(&mut export).unwrap();
    for id in 1..=u64::from(SLOTS) + 2 {
        publish(&mut writer, id);
    }
    let path = root.path().join(camera().as_str()).join(META_FILE);
    let mut bytes = std::fs::read(path).unwrap();
    // Then frames from before the reader attached are current too.
    set(&mut bytes, in_header("copying"), |_| 1);
    set(&mut bytes, in_header("resumed_frame_id"), |_| 1);
    bytes
}
