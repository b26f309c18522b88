//! `frame.meta` and the slots' pixels for the model checker: words that writer and reader share, in
//! place of two mappings of one file.

use std::sync::Arc;

use memmap2::MmapRaw;

use crate::layout::{Entry, Header};
use crate::sync::{ModelU64, Ordering};

/// Words that stand for a slot's pixels.
const PIXELS: usize = 2;

/// A clone models another mapping of the same file.
#[derive(Clone, Debug)]
pub(crate) struct Meta(Arc<Words>);

#[derive(Debug)]
struct Words {
    header: Header,
    entries: Box<[(Entry, [ModelU64; PIXELS])]>,
}

impl Meta {
    /// Has as many entries as the mapping would hold.
    pub(crate) fn new(map: MmapRaw) -> Option<Self> {
        let entries = map.len().checked_sub(size_of::<Header>())? / size_of::<Entry>();
        let entries = (0..entries).map(|_| Default::default()).collect();
        Some(Self(Arc::new(Words { header: Header::default(), entries })))
    }

    pub(crate) fn entries(&self) -> u32 {
        self.0.entries.len() as u32
    }

    pub(crate) fn header(&self) -> &Header {
        &self.0.header
    }

    pub(crate) fn entry(&self, slot: u32) -> &Entry {
        &self.0.entries[slot as usize].0
    }

    pub(crate) fn pixels(&self, slot: u32) -> Pixels {
        Pixels { meta: self.clone(), slot: slot as usize }
    }
}

/// A slot's pixels, which any number of threads may store and load.
#[derive(Clone, Debug)]
pub(crate) struct Pixels {
    meta: Meta,
    slot: usize,
}

impl Pixels {
    /// Sets every pixel to `value` with ordinary stores.
    pub(crate) fn store(&self, value: u64) {
        self.words().iter().for_each(|word| word.store(value, Ordering::Relaxed));
    }

    pub(crate) fn load(&self) -> [u64; PIXELS] {
        self.words().each_ref().map(|word| word.load(Ordering::Relaxed))
    }

    fn words(&self) -> &[ModelU64; PIXELS] {
        &self.meta.0.entries[self.slot].1
    }
}
