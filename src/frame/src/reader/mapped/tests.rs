//! A writer that changes its files while they are read, before each load in turn.

use std::cell::Cell;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::Duration;

use std::sync::Arc;

use super::*;
use crate::clock::monotonic_ns;
use crate::layout::{ENTRY, Field, HEADER};
use crate::meta::PublishMeta;
use crate::racing::before_each_load;
use crate::reader::frame::Frame;
use crate::reader::{Nv12Image, RawPlane};
use crate::writer::{Access, CameraExport, ExportRoot, Notifier, OpenRing, RingOptions};

/// Offset and size in `frame.meta`.
type FieldAt = (u64, usize);

/// The values written into fields.
const LIES: [u64; 5] = [0, 7, 60, 1 << 31, u64::MAX];
/// More loads than opening a ring and finding two frames takes.
const LOADS: u32 = 150;

/// A camera's files, written by an honest writer and opened for writing by the test.
struct Export {
    root: tempfile::TempDir,
    _export: CameraExport,
    meta: Rc<File>,
    data: Rc<File>,
}

impl Export {
    fn new() -> Self {
        let root = tempfile::tempdir_in("/dev/shm").unwrap();
        let notifier = Arc::new(Notifier::start().unwrap());
        let exports = Arc::new(ExportRoot::open(root.path(), Access::default()).unwrap());
        let mut export = CameraExport::claim(&exports, &camera(), &notifier).unwrap();
        let geometry = Geometry::new(33, 17, Color::default(), 8).unwrap();
        let options = RingOptions { slots: 2, lease: Duration::ZERO, frame_rate: None };
        let OpenRing::Ready(mut writer) = export.open_ring(geometry, options).unwrap() else {
            panic!("the first ring waits for nothing")
        };
        for frame_id in 1..=3 {
            let slot = writer.claim(monotonic_ns()).unwrap();
            slot.publish(&PublishMeta { frame_id, ..PublishMeta::default() });
        }
        let dir = root.path().join("gate");
        let open =
            |name| Rc::new(File::options().read(true).write(true).open(dir.join(name)).unwrap());
        Self { meta: open(META_FILE), data: open(DATA_FILE), root, _export: export }
    }

    fn open(&self) -> Option<Arc<Mapped>> {
        Mapped::open(&self.root.path().join("gate"), &camera()).ok().flatten().map(Arc::new)
    }

    /// Writes false values into one field before each load in turn; the fields of `backing` are
    /// made to agree with it from the start.
    fn lie(&self, at: FieldAt, backing: &[FieldAt]) {
        let honest = read(&self.meta, at);
        let backed: Vec<u64> = backing.iter().map(|at| read(&self.meta, *at)).collect();
        for lie in LIES {
            backing.iter().for_each(|at| write(&self.meta, *at, lie));
            for load in 0..LOADS {
                let meta = Rc::clone(&self.meta);
                let came_to_it = at_load(load, move || write(&meta, at, lie), || self.look());
                write(&self.meta, at, honest);
                if !came_to_it {
                    break;
                }
            }
        }
        backing.iter().zip(backed).for_each(|(at, honest)| write(&self.meta, *at, honest));
    }

    /// Reads as a reader does, and checks every frame.
    fn look(&self) {
        let Some(ring) = self.open() else { return };
        let (newest, oldest) =
            (Frame::newest(&ring), Frame::oldest_after(&ring, 1, false, |_| true));
        newest.iter().chain(&oldest).for_each(check);
    }
}

fn camera() -> CameraId {
    CameraId::new("gate").unwrap()
}

fn read(file: &File, (at, len): FieldAt) -> u64 {
    let mut word = [0; 8];
    file.read_exact_at(&mut word[..len], at).unwrap();
    u64::from_le_bytes(word)
}

fn write(file: &File, (at, len): FieldAt, value: u64) {
    file.write_all_at(&value.to_le_bytes()[..len], at).unwrap();
}

fn check(frame: &Frame) {
    let (meta, geometry, raw) = (frame.meta(), frame.geometry(), frame.raw());
    assert_eq!((meta.width, meta.height), (geometry.width(), geometry.height()));
    let Rect { x, y, width, height } = meta.content;
    assert!(u64::from(x) + u64::from(width) <= meta.width.into(), "{meta:?}");
    assert!(u64::from(y) + u64::from(height) <= meta.height.into(), "{meta:?}");
    let at = |plane: RawPlane<'_>| plane.as_ptr().addr();
    let (ring, slot) = (frame.ring(), at(raw.y) - frame.ring().data.as_ptr().addr());
    let chroma = at(raw.uv) - at(raw.y);
    assert!(raw.y.stride() * raw.y.rows() <= chroma);
    assert_eq!(raw.uv.rows(), raw.y.rows().div_ceil(2));
    let end = slot + chroma + raw.uv.stride() * raw.uv.rows();
    assert!(end <= ring.data.len(), "{:?} in {} bytes", ring.shape, ring.data.len());
    let mut image = Nv12Image::default();
    if frame.copy_if_valid(&mut image).is_ok() {
        assert_eq!(image.geometry(), Some(&geometry));
    }
}

/// Runs `change` before one load of `read`; `false` if `read` has fewer loads.
fn at_load(load: u32, change: impl Fn() + 'static, read: impl FnOnce()) -> bool {
    let passed = Rc::new(Cell::new(0));
    let count = Rc::clone(&passed);
    before_each_load(Some(Box::new(move || {
        if count.get() == load {
            change();
        }
        count.set(count.get() + 1);
    })));
    read();
    before_each_load(None);
    passed.get() > load
}

#[test]
fn no_change_between_two_loads_misleads_a_reader() {
    let export = Export::new();
    // Longer than the ring, as after a change to a smaller picture: there is more memory to be misled
    // into.
    export.data.set_len(1 << 20).unwrap();
    assert!(!at_load(LOADS, || (), || export.look()), "LOADS covers an honest read");
    let place = |base: usize, field: &Field| ((base + field.offset) as u64, field.size.min(8));
    for field in HEADER {
        let twins = ENTRY.iter().filter(|twin| twin.name == field.name);
        let twins: Vec<_> = twins.flat_map(|twin| [place(512, twin), place(640, twin)]).collect();
        export.lie(place(0, field), &twins);
    }
    for field in ENTRY {
        export.lie(place(512, field), &[]);
        export.lie(place(640, field), &[]);
    }
}

/// A length queried twice may differ: a reader that mapped the shorter one would read beyond its mapping,
/// possibly into its own memory.
#[test]
fn a_mapping_has_the_checked_length() {
    let export = Export::new();
    let whole = export.data.metadata().unwrap().len();
    let mut opened = 0;
    for load in 0..LOADS {
        let data = Rc::clone(&export.data);
        let shorten = move || data.set_len(1).unwrap();
        let came_to_it = at_load(load, shorten, || {
            if let Some(ring) = export.open() {
                assert!(ring.shape.slot_stride * ring.shape.slots as usize <= ring.data.len());
                opened += 1;
            }
        });
        export.data.set_len(whole).unwrap();
        if !came_to_it {
            break;
        }
    }
    assert!(opened > 0, "the change came between the check and the mapping");
}
