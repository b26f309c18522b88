//! Rings that a larger one replaced: readable for a while, and bounded in bytes.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use super::ring::Ring;

/// How long a retired ring stays readable when there is room for it.
const GRACE_NS: u64 = 2_000_000_000;

/// The retired rings of a camera, oldest first.
#[derive(Debug, Default)]
pub(super) struct Retired(Vec<RetiredRing>);

#[derive(Debug)]
struct RetiredRing {
    ring: Arc<Ring>,
    data_file: Arc<File>,
    retired_ns: u64,
}

impl Retired {
    /// Most bytes of a camera's retired rings when its next ring is allocated.
    pub(super) const MAX_BYTES: u64 = 64 << 20;

    pub(super) fn add(&mut self, ring: Arc<Ring>, data_file: Arc<File>, now_ns: u64) {
        self.0.push(RetiredRing { ring, data_file, retired_ns: now_ns });
    }

    /// Bytes that are still held.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|retired| retired.ring.data().len() as u64).sum()
    }

    /// Frees what has been readable for long enough.
    pub(super) fn sweep(&mut self, now_ns: u64) {
        self.0.retain(|retired| {
            let stays = now_ns < retired.retired_ns + GRACE_NS
                || retired.ring.unused_at(now_ns).is_err();
            if !stays {
                retired.free();
            }
            stays
        });
    }

    /// Frees the oldest ones until at most `bytes` are held.
    ///
    /// # Errors
    /// When to ask again, if a promise to readers or a copy in flight stands in the way.
    pub(super) fn shrink_to(&mut self, bytes: u64, now_ns: u64) -> Result<(), u64> {
        while self.bytes() > bytes {
            self.0[0].ring.unused_at(now_ns)?;
            self.0.remove(0).free();
        }
        Ok(())
    }
}

impl RetiredRing {
    /// Gives the pages back, whoever still maps them. Its frames are refused from here on.
    fn free(&self) {
        self.ring.invalidate();
        let bytes = self.ring.data().len() as u64;
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Err(e) = fallocate(&*self.data_file, how, 0, bytes) {
            tracing::warn!("can't free a retired ring of {} MiB: {e}", bytes >> 20);
        }
    }
}
