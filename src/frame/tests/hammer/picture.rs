//! Pictures in which every word identifies its frame and position.

use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_frame::{ClaimedSlot, Geometry, RawView};

use super::case::Stores;

const WORD: usize = size_of::<u64>();
/// Both odd, so that multiplication by them is invertible.
const OF_FRAME: u64 = 0x9e37_79b9_7f4a_7c15;
const OF_PLACE: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Word number `place` of frame `id`, luma first, then chroma.
fn word(id: u64, place: usize) -> u64 {
    id.wrapping_mul(OF_FRAME) ^ (place as u64).wrapping_mul(OF_PLACE)
}

/// A picture in the writer's own memory.
pub(crate) struct Source {
    bytes: Vec<u8>,
    width: usize,
    luma: usize,
}

impl Source {
    pub(crate) fn new(geometry: &Geometry) -> Self {
        let width = geometry.width() as usize;
        assert!(width.is_multiple_of(WORD) && geometry.height().is_multiple_of(2), "whole words");
        let luma = width * geometry.height() as usize;
        Self { bytes: vec![0; geometry.tight_bytes()], width, luma }
    }

    pub(crate) fn fill(&mut self, id: u64) {
        for (place, bytes) in self.bytes.as_chunks_mut::<WORD>().0.iter_mut().enumerate() {
            *bytes = word(id, place).to_le_bytes();
        }
    }

    pub(crate) fn write_to(&self, slot: &mut ClaimedSlot, stores: Stores) {
        let kind = match stores {
            Stores::Auto => StoreKind::Auto,
            Stores::Cached => StoreKind::Cached,
            Stores::Streaming => StoreKind::Streaming,
            Stores::Partial => return self.stream_words_to(slot),
        };
        let (y, uv) = self.bytes.split_at(self.luma);
        let plane = |data| Plane { data, stride: self.width };
        slot.write(&Picture::Nv12 { y: plane(y), uv: plane(uv) }, kind).unwrap();
    }

    fn stream_words_to(&self, slot: &mut ClaimedSlot) {
        let stride = slot.geometry().stride() as usize;
        let (luma, chroma) = slot.planes_mut();
        let (y, uv) = self.bytes.split_at(self.luma);
        for (from, to) in [(y, luma), (uv, chroma)] {
            for (from, to) in from.chunks_exact(self.width).zip(to.chunks_mut(stride)) {
                let words = from.as_chunks::<WORD>().0.iter().zip(to.as_chunks_mut::<WORD>().0);
                words.for_each(|(from, to)| stream(*from, to));
            }
        }
    }
}

/// Stores a word past the cache, if the processor can.
fn stream(word: [u8; WORD], to: &mut [u8; WORD]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `to` is as long as the word, and SSE2 is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_stream_si64(to.as_mut_ptr().cast(), i64::from_le_bytes(word));
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        *to = word;
    }
}

/// A word that is not the frame's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    place: usize,
    found: u64,
}

impl Foreign {
    /// Describes it, for the frame in which it was found.
    pub(crate) fn describe(self, id: u64) -> String {
        // It most likely belongs to a frame close to this one.
        let near = (id.saturating_sub(64)..id + 64).find(|&id| word(id, self.place) == self.found);
        match near {
            Some(owner) => format!("word {} of frame {id} is frame {owner}'s", self.place),
            None => format!("word {} of frame {id} is {:#018x}", self.place, self.found),
        }
    }
}

fn first_foreign(id: u64, mut words: impl Iterator<Item = (usize, u64)>) -> Option<Foreign> {
    let (place, found) = words.find(|&(place, found)| found != word(id, place))?;
    Some(Foreign { place, found })
}

/// Checks a copy.
pub(crate) fn check(id: u64, tight: &[u8]) -> Option<Foreign> {
    let words = tight.as_chunks::<WORD>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    first_foreign(id, words.enumerate())
}

/// Checks the first word of a picture in place.
pub(crate) fn check_first(id: u64, view: &RawView<'_>) -> Option<Foreign> {
    // SAFETY: as in `check_in_place`.
    let found = unsafe { view.y.as_ptr().cast::<u64>().read_volatile() };
    first_foreign(id, std::iter::once((0, found)))
}

/// Checks a picture in place, which may change meanwhile, from the end: the last stores are the ones
/// that may be missing.
pub(crate) fn check_in_place(id: u64, view: &RawView<'_>) -> Option<Foreign> {
    let (row_words, rows) = (view.y.row_bytes() / WORD, view.y.rows());
    let words = (0..rows + rows / 2).rev().flat_map(|line| {
        let (plane, row) = if line < rows { (view.y, line) } else { (view.uv, line - rows) };
        // SAFETY: a plane has rows of `row_bytes` bytes, `stride` apart, that are mapped while the frame
        // lives; rows are aligned to 64 bytes.
        let load = move |i| unsafe {
            plane.as_ptr().add(row * plane.stride()).cast::<u64>().add(i).read_volatile()
        };
        (0..row_words).rev().map(move |i| (line * row_words + i, load(i)))
    });
    first_foreign(id, words)
}
