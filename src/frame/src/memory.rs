//! A mapped `frame.meta` as typed words. The model checker replaces this type with its own.

use memmap2::MmapRaw;

use crate::layout::{Entry, Header};

/// A mapping of `frame.meta`, read-only or writable: the header, and as many entries as fit.
#[derive(Debug)]
pub(crate) struct Meta(MmapRaw);

impl Meta {
    /// `None` if the mapping is shorter than a header.
    pub(crate) fn new(map: MmapRaw) -> Option<Self> {
        (map.len() >= size_of::<Header>()).then_some(Self(map))
    }

    /// The number of entries in the mapping.
    pub(crate) fn entries(&self) -> u32 {
        ((self.0.len() - size_of::<Header>()) / size_of::<Entry>()) as u32
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, at least a header long (`new`), lives as long as self,
        // and holds nothing but atomics, for which every bit pattern is valid.
        unsafe { &*self.0.as_ptr().cast::<Header>() }
    }

    pub(crate) fn entry(&self, slot: u32) -> &Entry {
        assert!(slot < self.entries());
        // SAFETY: as for the header; the entry ends within the mapping, and the sizes of header and
        // entry, multiples of 64, keep it aligned.
        unsafe {
            let first = self.0.as_ptr().add(size_of::<Header>()).cast::<Entry>();
            &*first.add(slot as usize)
        }
    }
}
