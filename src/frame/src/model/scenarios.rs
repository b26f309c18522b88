//! Small rings with a writer and readers, and the assertions that must hold in each.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};

use super::streaming;
use crate::color::Color;
use crate::futex;
use crate::geometry::Geometry;
use crate::huge_pages::{AlignedMap, HugePages};
use crate::layout::{Entry, Header, STATE_LIVE, STATE_STOPPED};
use crate::memory::Meta;
use crate::meta::PublishMeta;
use crate::reader::{Frame, Mapped, Shape};
use crate::site::Site;
use crate::sync::{Ordering, thread};
use crate::writer::{Mapping, Notifier, NotifierHandle, Refused, Ring, RingWriter};

/// All scenarios, by name.
pub const ALL: [(&str, fn()); 14] = [
    ("overwritten", overwritten),
    ("handed over", handed_over),
    ("written by a device", written_by_a_device),
    ("streamed", streamed),
    ("abandoned", abandoned),
    ("headed", headed),
    ("ended", ended),
    ("waited for", waited_for),
    ("closed", closed),
    ("resumed", resumed),
    ("claimed", claimed),
    ("left", left),
    ("crowded", crowded),
    ("crowded before", crowded_before),
];

/// The scenarios that fail without a site.
#[must_use]
pub fn needing(site: Site) -> &'static [fn()] {
    match site {
        Site::SlotClose | Site::SlotRead | Site::SlotStill => &[overwritten, handed_over],
        Site::SlotStore => &[handed_over],
        Site::EntryStore => &[written_by_a_device],
        Site::SlotOpenDrain | Site::SlotCloseDrain => &[streamed, abandoned],
        Site::HeadStore | Site::HeadClose | Site::HeadRead | Site::HeadStill => &[headed],
        Site::CountAdd | Site::CountLoad => &[waited_for, closed],
        Site::StateStore | Site::StateLoad => &[ended],
        Site::ResumeStore | Site::ResumeLoad => &[resumed],
        Site::FreeStore | Site::FreeLoad => &[claimed],
        Site::LeaveStore | Site::LeaveLoad | Site::RestLoad => &[left],
    }
}

/// A time after every lease.
const LATER: u64 = u64::MAX;
/// Each slot is one unused page: the pixels are in [`Meta`].
const SIDE: u32 = 2;

struct Rig {
    ring: Arc<Ring>,
    writer: RingWriter,
    reader: Arc<Mapped>,
}

impl Rig {
    fn new(slots: u32) -> Self {
        Self::with_notifier(slots, NotifierHandle::unheard())
    }

    fn with_notifier(slots: u32, handle: NotifierHandle) -> Self {
        let geometry = Geometry::new(SIDE, SIDE, Color::default(), 8).unwrap();
        let meta_bytes = size_of::<Header>() + slots as usize * size_of::<Entry>();
        let data_bytes = geometry.slot_stride() as usize * slots as usize;
        let data = Arc::new(Mapping::new(pixels(data_bytes), HugePages::default()));
        let ring = Ring::new(memory(meta_bytes), data, nothing(), geometry, slots, 0, handle);
        ring.header().state.store(STATE_LIVE, Ordering::Relaxed);
        let shape = Shape {
            width: SIDE,
            height: SIDE,
            stride: geometry.stride() as usize,
            uv_offset: geometry.uv_offset() as usize,
            slot_stride: geometry.slot_stride() as usize,
            slots,
            epoch: 1,
            color: Color::default(),
            bit_depth: 8,
        };
        let meta = ring.meta().clone();
        let reader = Arc::new(Mapped::new(meta, pixels(data_bytes), nothing(), shape));
        let ring = Arc::new(ring);
        Self { writer: RingWriter::new(Arc::clone(&ring)), ring, reader }
    }
}

fn memory(bytes: usize) -> MmapRaw {
    MmapOptions::new().len(bytes).map_anon().unwrap().into()
}

fn pixels(bytes: usize) -> AlignedMap {
    AlignedMap::zeroed(bytes).unwrap()
}

fn nothing() -> File {
    File::open("/dev/null").unwrap()
}

fn meta(frame_id: u64) -> PublishMeta {
    PublishMeta { frame_id, ..PublishMeta::default() }
}

/// Claims, writes and publishes in one thread. Every pixel of a frame is its id.
fn publish(writer: &mut RingWriter, id: u64) {
    let slot = writer.claim(LATER).unwrap();
    slot.pixels().store(id);
    slot.publish(&meta(id));
}

/// Reads the newest frame in place.
struct Viewer {
    meta: Meta,
    reader: Arc<Mapped>,
    last: u64,
}

impl Viewer {
    fn new(rig: &Rig) -> Self {
        Self { meta: rig.ring.meta().clone(), reader: Arc::clone(&rig.reader), last: 0 }
    }

    /// The newest frame's id, if the frame stayed whole until it was read.
    fn look(&mut self) -> Option<u64> {
        let frame = Frame::newest(&self.reader)?;
        let id = frame.meta().frame_id;
        let slots = u64::from(self.reader.slots());
        let pixels = self.meta.pixels(((id - 1) % slots) as u32).load();
        if !frame.still_valid() {
            return None;
        }
        assert_eq!(pixels, [id; 2], "frame {id} is torn");
        assert!(id >= self.last, "frame {id} came after frame {}", self.last);
        self.last = id;
        Some(id)
    }
}

/// Runs a reader concurrently with a writer, which starts first: the checker finds a race from the
/// later load.
fn beside(reader: impl FnOnce() + 'static, writer: impl FnOnce()) {
    let reading = thread::spawn(reader);
    writer();
    reading.join().unwrap();
}

/// A slot is overwritten while it is read.
fn overwritten() {
    let mut rig = Rig::new(1);
    publish(&mut rig.writer, 1);
    let mut viewer = Viewer::new(&rig);
    beside(
        move || {
            viewer.look();
            viewer.look();
        },
        || publish(&mut rig.writer, 2),
    );
    assert_eq!(Viewer::new(&rig).look(), Some(2));
}

/// As `overwritten`, with a slot claimed by one thread and written by another.
fn handed_over() {
    let mut rig = Rig::new(1);
    publish(&mut rig.writer, 1);
    let mut viewer = Viewer::new(&rig);
    beside(
        move || {
            viewer.look();
        },
        || {
            let slot = rig.writer.claim(LATER).unwrap();
            let writing = thread::spawn(move || {
                slot.pixels().store(2);
                slot.publish(&meta(2));
            });
            writing.join().unwrap();
        },
    );
    assert_eq!(Viewer::new(&rig).look(), Some(2));
}

/// As `overwritten`, with a slot written by a device: the publishing thread stores no pixel itself.
fn written_by_a_device() {
    let mut rig = Rig::new(1);
    publish(&mut rig.writer, 1);
    let reader = Arc::clone(&rig.reader);
    beside(
        move || {
            if let Some((sequence, meta)) = reader.read_entry(0) {
                assert_eq!(sequence, 2 * meta.frame_id, "the entry belongs to another frame");
            }
        },
        || {
            let slot = rig.writer.claim(LATER).unwrap();
            let writing = thread::spawn(move || slot.publish(&meta(2)));
            writing.join().unwrap();
        },
    );
}

/// A slot is overwritten with streaming stores while it is read.
fn streamed() {
    let mut rig = Rig::new(1);
    publish(&mut rig.writer, 1);
    let mut viewer = Viewer::new(&rig);
    beside(
        move || {
            viewer.look();
        },
        || {
            let slot = rig.writer.claim(LATER).unwrap();
            streaming::store(&slot, 2);
            slot.publish(&meta(2));
        },
    );
    assert_eq!(Viewer::new(&rig).look(), Some(2));
}

/// One thread abandons a frame half-written, and another writes the next frame into its slot.
fn abandoned() {
    let mut rig = Rig::new(1);
    publish(&mut rig.writer, 1);
    let mut viewer = Viewer::new(&rig);
    beside(
        move || {
            viewer.look();
        },
        || {
            let slot = rig.writer.claim(LATER).unwrap();
            let giving_up = thread::spawn(move || streaming::store(&slot, 2));
            giving_up.join().unwrap();
            publish(&mut rig.writer, 3);
        },
    );
    assert_eq!(Viewer::new(&rig).look(), Some(3));
}

/// The head changes while it is read.
fn headed() {
    let mut rig = Rig::new(2);
    publish(&mut rig.writer, 1);
    let reader = Arc::clone(&rig.reader);
    beside(
        move || {
            if let Some((slot, id)) = reader.head() {
                assert_eq!(u64::from(slot), id - 1, "the head is torn");
                let (_, meta) = reader.read_entry(slot).expect("the head names a published frame");
                assert_eq!(meta.frame_id, id);
            }
        },
        || publish(&mut rig.writer, 2),
    );
}

/// The oldest frame above `id`, for a reader that attached before all of them.
fn next_after(reader: &Arc<Mapped>, id: u64) -> Option<u64> {
    Some(Frame::oldest_after(reader, id, false, |_| true)?.meta().frame_id)
}

/// A reader takes every frame of a ring, in order, while the last ones are published and the ring is
/// closed.
fn ended() {
    let mut rig = Rig::new(2);
    let reader = Arc::clone(&rig.reader);
    beside(
        move || {
            let over = !reader.is_live();
            match next_after(&reader, 0) {
                Some(id) => assert_eq!(id, 1, "frame 1 was skipped"),
                None => assert!(!over, "the frames were missed"),
            }
        },
        || {
            let publishing = thread::spawn(move || {
                publish(&mut rig.writer, 1);
                publish(&mut rig.writer, 2);
            });
            publishing.join().unwrap();
            rig.ring.close(STATE_STOPPED);
        },
    );
}

/// A reader waits for a frame.
fn waited_for() {
    let mut rig = Rig::new(1);
    let reader = Arc::clone(&rig.reader);
    beside(
        move || wait_until(&reader, || next_after(&reader, 0).is_some()),
        || {
            publish(&mut rig.writer, 1);
        },
    );
}

/// A reader waits for the end of the ring.
fn closed() {
    let rig = Rig::new(1);
    let reader = Arc::clone(&rig.reader);
    beside(move || wait_until(&reader, || !reader.is_live()), || rig.ring.close(STATE_STOPPED));
}

/// Waits as a reader does: load the counter, check, wait.
fn wait_until(reader: &Mapped, mut seen: impl FnMut() -> bool) {
    loop {
        let count = reader.published();
        if seen() {
            return;
        }
        futex::wait(reader.published_word(), count, Duration::MAX);
    }
}

/// Copying resumes after a gap. Frames from before the gap are not current.
fn resumed() {
    let mut rig = Rig::new(1);
    publish(&mut rig.writer, 1);
    let reader = Arc::clone(&rig.reader);
    beside(
        move || {
            let frame = Frame::newest(&reader).expect("no slot is being written");
            assert!(!reader.runs_since(frame.meta()), "an old frame is taken for current");
        },
        || rig.writer.resume(2),
    );
}

/// The newest frame's slot is never claimed, however little of its publication the claiming thread
/// has seen.
fn claimed() {
    let Rig { mut writer, .. } = Rig::new(2);
    let slot = writer.claim(LATER).unwrap();
    let other = writer.claim(LATER).unwrap();
    beside(
        move || assert_eq!(writer.claim(LATER).err(), Some(Refused::InFlight)),
        || {
            slot.publish(&meta(1));
        },
    );
    drop(other);
}

/// The pages are at rest once the claiming thread has left and the last copier is done, not earlier: their
/// next user then sees every earlier copy completed.
fn left() {
    let Rig { ring, mut writer, .. } = Rig::new(1);
    let pixels = ring.meta().pixels(0);
    beside(
        move || {
            if ring.unused_at(LATER / 2).is_ok() {
                assert_eq!(pixels.load(), [1; 2], "a copy into pages at rest");
            }
        },
        || {
            let slot = writer.claim(LATER).unwrap();
            let copying = thread::spawn(move || {
                slot.pixels().store(1);
                slot.publish(&meta(1));
            });
            drop(writer);
            copying.join().unwrap();
        },
    );
}

/// More readers wait than the publisher wakes itself.
fn crowded() {
    wake_two(false);
}

/// Many readers waited before, so the publisher leaves all waking to the notifier.
fn crowded_before() {
    wake_two(true);
}

fn wake_two(before: bool) {
    let notifier = Notifier::start().unwrap();
    let rig = Rig::with_notifier(1, notifier.handle());
    notifier.register(&rig.ring);
    rig.ring.is_crowded.store(before, Ordering::Relaxed);
    let readers = [(); 2].map(|()| {
        let reader = Arc::clone(&rig.reader);
        thread::spawn(move || wait_until(&reader, || reader.published() != 0))
    });
    rig.ring.wake();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}
