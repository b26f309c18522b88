//! A camera's export with random pictures.

use std::sync::Arc;
use std::time::Duration;

use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_frame::{
    Access, CameraExport, CameraId, Color, ExportRoot, Geometry, Notifier, OpenRing, Placement,
    PublishMeta, Reader, RingOptions, RingWriter, monotonic_ns,
};

pub(crate) struct Camera {
    pub(crate) reader: Reader,
    writer: RingWriter,
    geometry: Geometry,
    rng: fastrand::Rng,
    next: u64,
    _export: CameraExport,
    _dir: tempfile::TempDir,
}

impl Camera {
    /// An export with so many slots, each of which may be overwritten at once.
    pub(crate) fn new(size: (u32, u32), color: Color, slots: u32) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
        let notifier = Arc::new(Notifier::start().unwrap());
        let id = CameraId::new("gate").unwrap();
        let mut export = CameraExport::claim(&root, &id, &notifier).unwrap();
        let geometry = Geometry::new(size.0, size.1, color, 8).unwrap();
        let options = RingOptions { slots, lease: Duration::ZERO, frame_rate: None };
        let OpenRing::Ready(writer) = export.open_ring(geometry, options).unwrap() else {
            panic!("the first ring waits for nothing")
        };
        let reader = Reader::options().dir(dir.path()).open(&id).unwrap();
        let rng = fastrand::Rng::with_seed(1);
        Self { reader, writer, geometry, rng, next: 1, _export: export, _dir: dir }
    }

    pub(crate) fn publish(&mut self) {
        self.publish_with(None);
    }

    pub(crate) fn publish_with(&mut self, placement: Option<Placement>) {
        let (width, rows) = (self.geometry.chroma_row_bytes() as usize, self.geometry.height());
        let mut samples = |rows: u32| -> Vec<u8> {
            (0..width * rows as usize).map(|_| self.rng.u8(..)).collect()
        };
        let (y, uv) = (samples(rows), samples(self.geometry.chroma_rows()));
        let plane = |data| Plane { data, stride: width };
        let picture = Picture::Nv12 { y: plane(&y), uv: plane(&uv) };
        let mut slot = self.writer.claim(monotonic_ns()).unwrap();
        slot.write(&picture, StoreKind::Auto).unwrap();
        slot.publish(&PublishMeta {
            frame_id: self.next,
            arrival_ns: monotonic_ns(),
            placement,
            ..PublishMeta::default()
        });
        self.next += 1;
    }
}
