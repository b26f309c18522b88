//! Rings that a larger one replaced: readable for a while, and bounded in bytes.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use super::pages::MappingEnd;
use super::ring::Ring;

/// How long a retired ring stays readable, if there is room for it.
const GRACE_NS: u64 = 2_000_000_000;

/// How long the next epoch waits for copies in flight. Longer ones may never end: their pages are left to them.
pub(super) const HELD_NS: u64 = 2_000_000_000;

/// How long to wait before checking again whether a device still pins the pages.
const PINNED_RETRY_NS: u64 = 5_000_000;

/// The retired rings of a camera, oldest first.
#[derive(Debug, Default)]
pub(super) struct Retired(Vec<RetiredRing>);

#[derive(Debug)]
struct RetiredRing {
    /// `Some` while its frames may be read.
    ring: Option<Arc<Ring>>,
    end: MappingEnd,
    bytes: u64,
    data_file: Arc<File>,
    retired_ns: u64,
    /// Since when its copies in flight are waited for.
    waits_since_ns: u64,
}

impl Retired {
    /// The most bytes that a camera's retired rings may hold when its next ring is allocated.
    pub(super) const MAX_BYTES: u64 = 64 << 20;

    /// `waits_since_ns`: since when its copies in flight were waited for, if they were.
    pub(super) fn add(
        &mut self,
        ring: Arc<Ring>,
        data_file: Arc<File>,
        retired_ns: u64,
        waits_since_ns: Option<u64>,
    ) {
        let (end, bytes) = (ring.data().end(), ring.data().len() as u64);
        let (ring, waits_since_ns) = (Some(ring), waits_since_ns.unwrap_or(retired_ns));
        self.0.push(RetiredRing { ring, end, bytes, data_file, retired_ns, waits_since_ns });
    }

    /// Bytes still held.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|retired| retired.bytes).sum()
    }

    /// As [`bytes`](Self::bytes), without the rings that a hanging copy holds.
    pub(super) fn bytes_to_free(&self, now_ns: u64) -> u64 {
        let to_free = self.0.iter().filter(|retired| !retired.is_held(now_ns));
        to_free.map(|retired| retired.bytes).sum()
    }

    /// Frees the rings whose grace period has ended.
    pub(super) fn sweep(&mut self, now_ns: u64) {
        self.0.retain_mut(|retired| {
            now_ns < retired.retired_ns + GRACE_NS || retired.free(now_ns).is_err()
        });
    }

    /// Frees the oldest ones until at most `bytes` are held, not counting those that a hanging copy holds.
    ///
    /// # Errors
    /// The time to retry, if a lease, a copy in flight or a device that pins the pages prevents it.
    pub(super) fn shrink_to(&mut self, bytes: u64, now_ns: u64) -> Result<(), u64> {
        while self.bytes_to_free(now_ns) > bytes {
            let oldest = self.0.iter().position(|retired| !retired.is_held(now_ns));
            let Some(oldest) = oldest else { return Ok(()) };
            self.0[oldest].free(now_ns)?;
            self.0.remove(oldest);
        }
        Ok(())
    }
}

impl RetiredRing {
    /// Whether a copy into it has been in flight for so long that it may never end.
    fn is_held(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.waits_since_ns) > HELD_NS
            && self.ring.as_ref().is_some_and(|ring| !ring.is_at_rest())
    }

    /// Releases the pages, even if readers still map them. Its frames are refused from here on.
    ///
    /// # Errors
    /// The time to retry. Pages that a device pins stay in use until it unpins them: after a hole is
    /// punched, the file system would count them as free although they are not, and the next ring would be
    /// admitted too early.
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
