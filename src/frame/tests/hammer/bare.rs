//! A reader written from the format's page alone, with nothing between a sequence and the words that
//! it guards.
//!
//! It reads one slot of the ring and ignores the head. It starts with the word that was stored last, then
//! polls the one that will be stored first.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};
use vas_frame::layout::{DATA_FILE, ENTRY, HEADER, META_FILE};
use vas_frame::{RawPlane, RawView};

use super::case::{Case, Pinned, Side, camera};
use super::picture;
use super::reader::{Tally, open};
use super::writer::Writer;

/// Loads of the sequence between two checks of the writer's process.
const POLLS: u32 = 100_000;

/// Reads the frames of slot 0 while `more` returns `true`, each as soon as its sequence is even.
pub(crate) fn run(case: &Case, more: impl Fn(&Tally) -> bool) -> Tally {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut writer = Writer::start(dir.path(), case);
    let _pinned = Pinned::to(Side::Reader);
    // The ring exists once its first frame is published.
    open(dir.path(), &mut writer).seek(0).set_timeout(Duration::MAX).newer().unwrap();
    let slot = Slot::map(&dir.path().join(camera().as_str()), case);
    let mut tally = Tally::default();
    let mut last = 0;
    while more(&tally) {
        assert!(writer.lives(), "{case}: the writer ended");
        for _ in 0..POLLS {
            if let Some(sequence) = slot.at_rest().filter(|&sequence| sequence != last) {
                last = sequence;
                slot.look(sequence, &mut tally);
            }
        }
    }
    tally
}

/// Slot 0 of a ring and its entry.
struct Slot {
    _meta: MmapRaw,
    _data: MmapRaw,
    sequence: *const AtomicU64,
    frame_id: *const AtomicU64,
    /// Points into `_data`, which lives as long as the slot.
    view: RawView<'static>,
}

impl Slot {
    fn map(camera: &Path, case: &Case) -> Self {
        let map = |name| {
            let file = File::open(camera.join(name)).unwrap();
            MmapOptions::new().map_raw_read_only(&file).unwrap()
        };
        let (meta, data) = (map(META_FILE), map(DATA_FILE));
        let geometry = case.geometry();
        let (y, stride, width) =
            (data.as_ptr(), geometry.stride() as usize, geometry.width() as usize);
        // SAFETY: the file holds the slot's planes, and the mapping lives as long as the slot, which owns the
        // view.
        let plane = |offset: u32, rows: u32| unsafe {
            RawPlane::from_raw_parts(y.add(offset as usize), stride, width, rows as usize)
        };
        let view = RawView {
            y: plane(0, geometry.height()),
            uv: plane(geometry.uv_offset(), geometry.chroma_rows()),
        };
        let (sequence, frame_id) = (word(&meta, "sequence"), word(&meta, "frame_id"));
        Self { _meta: meta, _data: data, sequence, frame_id, view }
    }

    fn sequence(&self) -> u64 {
        // SAFETY: `word` points to an aligned word in the mapping that `self` holds, and all stores to
        // it are atomic.
        unsafe { (*self.sequence).load(Ordering::Relaxed) }
    }

    fn at_rest(&self) -> Option<u64> {
        let sequence = self.sequence();
        fence(Ordering::Acquire);
        sequence.is_multiple_of(2).then_some(sequence)
    }

    fn look(&self, sequence: u64, tally: &mut Tally) {
        // SAFETY: as for the sequence.
        let id = unsafe { (*self.frame_id).load(Ordering::Relaxed) };
        let foreign = picture::check_in_place(id, &self.view);
        let whole = self.still(sequence);
        tally.count(id, whole, foreign);
        if whole && foreign.is_none() {
            self.stare(id, sequence, tally);
        }
    }

    /// Polls the word that is stored first until it or the sequence changes.
    fn stare(&self, id: u64, sequence: u64, tally: &mut Tally) {
        for _ in 0..POLLS {
            let foreign = picture::check_first(id, &self.view);
            let whole = self.still(sequence);
            if !whole || foreign.is_some() {
                return tally.count(id, whole, foreign);
            }
        }
    }

    fn still(&self, sequence: u64) -> bool {
        fence(Ordering::Acquire);
        self.sequence() == sequence
    }
}

/// The address of a word of entry 0.
fn word(meta: &MmapRaw, name: &str) -> *const AtomicU64 {
    let field = ENTRY.iter().find(|field| field.name == name).unwrap();
    let header_bytes: usize = HEADER.iter().map(|field| field.size).sum();
    meta.as_ptr().wrapping_add(header_bytes + field.offset).cast()
}
