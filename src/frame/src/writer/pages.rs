//! A ring's pages, for an engine that pins them for a device.

use std::ops::Deref;
use std::sync::Arc;

use crate::huge_pages::{AlignedMap, HugePages};

/// A ring's mapped pages. [`MappingEnd`] detects when they are unmapped.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: AlignedMap,
    huge: HugePages,
    /// Declared after the mapping, so it is dropped later.
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

/// Detects that a mapping is gone, without keeping it alive.
#[derive(Debug)]
pub(super) struct MappingEnd(Arc<()>);

impl MappingEnd {
    /// Whether the pages are unmapped: no ring, no slot and no engine that pinned them holds them any
    /// more.
    pub(super) fn has_come(&mut self) -> bool {
        // Orders the other holders' accesses before later ones here.
        Arc::get_mut(&mut self.0).is_some()
    }
}

/// The pages of a ring. They stay mapped as long as this lives, even after the ring has ended.
///
/// Equal for epochs that use the same pages.
#[derive(Clone, Debug)]
pub struct RingPages(Arc<Mapping>);

impl RingPages {
    pub(super) fn new(data: &Arc<Mapping>) -> Self {
        Self(Arc::clone(data))
    }

    /// The start address in this process: page-aligned.
    ///
    /// Slots belong to their holders: use this to identify the range, not to write.
    #[must_use]
    pub fn start(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// The size in bytes: whole pages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// How much of them huge pages back.
    #[must_use]
    pub fn huge(&self) -> HugePages {
        self.0.huge
    }

    /// Whether no ring, writer or claimed slot holds the pages any more, so that dropping this
    /// unmaps them.
    #[must_use]
    pub fn are_left(&mut self) -> bool {
        // Orders the other holders' accesses before later ones here; a sole holder stays the sole
        // holder.
        Arc::get_mut(&mut self.0).is_some()
    }
}
