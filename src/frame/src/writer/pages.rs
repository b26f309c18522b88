//! A ring's pages, for an engine that pins them for a device.

use std::ops::Deref;
use std::sync::Arc;

use crate::huge_pages::{AlignedMap, HugePages};

/// A ring's pages, mapped; somebody may wait for its end.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: AlignedMap,
    huge: HugePages,
    /// Behind the mapping: it goes after that.
    mapped: Arc<()>,
}

impl Mapping {
    pub(crate) fn new(map: AlignedMap, huge: HugePages) -> Self {
        Self { map, huge, mapped: Arc::default() }
    }

    pub(super) fn end(&self) -> MappingEnd {
        MappingEnd(Arc::clone(&self.mapped))
    }
}

impl Deref for Mapping {
    type Target = AlignedMap;

    fn deref(&self) -> &AlignedMap {
        &self.map
    }
}

/// Tells whether a mapping is gone, without keeping it.
#[derive(Debug)]
pub(super) struct MappingEnd(Arc<()>);

impl MappingEnd {
    /// Whether nobody has the pages any more: neither ring nor slot, nor an engine that has them pinned.
    pub(super) fn has_come(&mut self) -> bool {
        // Orders what the others did before ours.
        Arc::get_mut(&mut self.0).is_some()
    }
}

/// The pages of a ring. They stay mapped as long as this lives, whatever becomes of the ring.
///
/// Epochs that use the same pages have the same ones here.
#[derive(Clone, Debug)]
pub struct RingPages(Arc<Mapping>);

impl RingPages {
    pub(super) fn new(data: &Arc<Mapping>) -> Self {
        Self(Arc::clone(data))
    }

    /// Where they begin in this process: page-aligned.
    ///
    /// Slots are other people's while they hold them; this is for naming the range, not for writing.
    #[must_use]
    pub fn start(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Bytes, whole pages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// How much of them huge pages back.
    #[must_use]
    pub fn huge(&self) -> HugePages {
        self.0.huge
    }

    /// Whether no ring, writer or claimed slot has them any more: dropping this unmaps them.
    #[must_use]
    pub fn are_left(&mut self) -> bool {
        // Orders what the others did before ours; and who alone holds it stays alone.
        Arc::get_mut(&mut self.0).is_some()
    }
}
