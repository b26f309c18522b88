//! A writer in this process, on a real tmpfs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_frame::{
    Access, CameraExport, CameraId, Color, Crop, ExportRoot, Flags, FrameRate, Geometry, Notifier,
    OpenRing, Placement, PublishMeta, Range, Reader, Rect, RingOptions, RingWriter, Size,
    monotonic_ns,
};

pub(crate) struct Rig {
    dir: PathBuf,
    _made: Option<tempfile::TempDir>,
    notifier: Arc<Notifier>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let made = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut rig = Self::at(made.path());
        rig._made = Some(made);
        rig
    }

    /// In an existing directory.
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.into(), _made: None, notifier: Arc::new(Notifier::start().unwrap()) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn claim(&self) -> CameraExport {
        let root = Arc::new(ExportRoot::open(self.path(), Access::default()).unwrap());
        CameraExport::claim(&root, &camera(), &self.notifier).unwrap()
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::options().dir(self.path()).open(camera()).unwrap()
    }
}

pub(crate) fn camera() -> CameraId {
    CameraId::new("gate").unwrap()
}

pub(crate) fn geometry(width: u32, height: u32) -> Geometry {
    let color =
        Color { range: Range::Full, primaries: 9, transfer: 16, matrix: 10, chroma_location: 3 };
    Geometry::new(width, height, color, 10).unwrap()
}

pub(crate) fn open(export: &mut CameraExport, width: u32, height: u32, slots: u32) -> RingWriter {
    let options = RingOptions {
        slots,
        lease: Duration::ZERO,
        frame_rate: Some(FrameRate { num: 25, den: 1 }),
    };
    match export.open_ring(geometry(width, height), options).unwrap() {
        OpenRing::Ready(mut writer) => {
            writer.resume(0);
            writer
        }
        OpenRing::NotBefore(_) => panic!("no lease to wait for"),
    }
}

/// A frame's tight picture: different for any two frames, and for any two rows of one.
pub(crate) fn pixels(id: u64, geometry: &Geometry) -> Vec<u8> {
    (0..geometry.tight_bytes() as u64).map(|i| ((i + 1) * (id * 2 + 1) + i / 251) as u8).collect()
}

/// Metadata of a frame with a distinct value in every field.
pub(crate) fn meta(id: u64) -> PublishMeta {
    PublishMeta {
        frame_id: id,
        pts_ns: Some(-5 - id as i64),
        arrival_ns: monotonic_ns() - 1000,
        decoded_ns: id + 12,
        gate_ns: id + 13,
        wall_clock_ns: Some(1_700_000_000_000_000_000 + id as i64),
        flags: Flags::KEY.with(Flags::LOSS_UNKNOWN, true),
        coded: Size { width: 4801, height: 3202 },
        crop: Crop { left: 21, top: 22 },
        placement: None,
        decoder: vas_frame::Decoder::Vaapi,
    }
}

/// Publishes [`pixels`] with [`meta`].
pub(crate) fn publish(writer: &mut RingWriter, id: u64) {
    let g = *writer.geometry();
    publish_bytes(writer, id, &pixels(id, &g));
}

/// Publishes a tight picture.
pub(crate) fn publish_bytes(writer: &mut RingWriter, id: u64, nv12: &[u8]) {
    let mut slot = writer.claim(monotonic_ns()).unwrap();
    let g = *slot.geometry();
    let (y, uv) = nv12.split_at(g.width() as usize * g.height() as usize);
    let plane = |data, stride: u32| Plane { data, stride: stride as usize };
    let picture = Picture::Nv12 { y: plane(y, g.width()), uv: plane(uv, g.chroma_row_bytes()) };
    slot.write(&picture, StoreKind::Auto).unwrap();
    let content = Rect { x: 1, y: 0, width: g.width() - 1, height: g.height() };
    let placement = Placement { source: Size { width: 4777, height: 3111 }, content };
    slot.publish(&PublishMeta { placement: Some(placement), ..meta(id) });
}
