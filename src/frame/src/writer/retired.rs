//! Rings that a larger one replaced: readable for a while, and bounded in bytes.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use super::pages::MappingEnd;
use super::ring::Ring;

/// How long a retired ring stays readable when there is room for it.
const GRACE_NS: u64 = 2_000_000_000;

/// When to ask again about pages that a device has pinned.
const PINNED_RETRY_NS: u64 = 5_000_000;

/// The retired rings of a camera, oldest first.
#[derive(Debug, Default)]
pub(super) struct Retired(Vec<RetiredRing>);

#[derive(Debug)]
struct RetiredRing {
    /// While its frames may be read.
    ring: Option<Arc<Ring>>,
    end: MappingEnd,
    bytes: u64,
    data_file: Arc<File>,
    retired_ns: u64,
}

impl Retired {
    /// Most bytes of a camera's retired rings when its next ring is allocated.
    pub(super) const MAX_BYTES: u64 = 64 << 20;

    pub(super) fn add(&mut self, ring: Arc<Ring>, data_file: Arc<File>, now_ns: u64) {
        let (end, bytes) = (ring.data().end(), ring.data().len() as u64);
        self.0.push(RetiredRing { ring: Some(ring), end, bytes, data_file, retired_ns: now_ns });
    }

    /// Bytes that are still held.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|retired| retired.bytes).sum()
    }

    /// Frees what has been readable for long enough.
    pub(super) fn sweep(&mut self, now_ns: u64) {
        self.0.retain_mut(|retired| {
            now_ns < retired.retired_ns + GRACE_NS || retired.free(now_ns).is_err()
        });
    }

    /// Frees the oldest ones until at most `bytes` are held.
    ///
    /// # Errors
    /// When to ask again, if a promise to readers, a copy in flight or a device that has the pages pinned
    /// stands in the way.
    pub(super) fn shrink_to(&mut self, bytes: u64, now_ns: u64) -> Result<(), u64> {
        while self.bytes() > bytes {
            self.0[0].free(now_ns)?;
            self.0.remove(0);
        }
        Ok(())
    }
}

impl RetiredRing {
    /// Gives the pages back, whichever readers still map them. Its frames are refused from here on.
    ///
    /// # Errors
    /// When to ask again. Pages that a device has pinned are its own until it lets go of them: punched, they
    /// would be free by the file system's account and not in fact, and the next ring would be promised them.
    fn free(&mut self, now_ns: u64) -> Result<(), u64> {
        if let Some(ring) = &self.ring {
            ring.unused_at(now_ns)?;
            ring.invalidate();
        }
        self.ring = None;
        if !self.end.has_come() {
            return Err(now_ns + PINNED_RETRY_NS);
        }
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Err(e) = fallocate(&*self.data_file, how, 0, self.bytes) {
            tracing::warn!("can't free a retired ring of {} MiB: {e}", self.bytes >> 20);
        }
        Ok(())
    }
}
