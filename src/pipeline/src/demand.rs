//! Whether anything wants a camera's decoded frames, and since when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::branch::Packets;

/// Set by the thread that checks for readers, read on the decode thread for each frame: one load.
///
/// Times are `CLOCK_MONOTONIC` nanoseconds. At first there is no demand.
#[derive(Debug, Default)]
pub struct Demand {
    /// 0: no demand.
    since_ns: AtomicU64,
    /// When demand last ended.
    gone_ns: AtomicU64,
    /// What a resting decode thread waits on.
    queue: OnceLock<Arc<Packets>>,
}

impl Demand {
    /// Demand begins. Nothing that arrived before `now_ns` is meant for it.
    pub fn begin(&self, now_ns: u64) {
        // Partner: the check under the queue's lock in `PacketQueue::park_unless`. Either it sees the demand,
        // or it has parked before we wake it.
        self.since_ns.store(now_ns.max(1), Ordering::SeqCst);
        if let Some(queue) = self.queue.get() {
            queue.unpark(now_ns);
        }
    }

    /// Demand ends.
    pub fn end(&self, now_ns: u64) {
        self.gone_ns.store(now_ns, Ordering::Relaxed);
        self.since_ns.store(0, Ordering::SeqCst);
    }

    /// Since when there is demand; `None` without any.
    pub fn since_ns(&self) -> Option<u64> {
        let since_ns = self.since_ns.load(Ordering::SeqCst);
        (since_ns != 0).then_some(since_ns)
    }

    /// When demand last ended; 0 if there never was any.
    pub(super) fn gone_ns(&self) -> u64 {
        self.gone_ns.load(Ordering::Relaxed)
    }

    /// Sets the queue on which a resting thread is to be woken.
    pub(super) fn wakes(&self, queue: &Arc<Packets>) {
        let _ = self.queue.set(Arc::clone(queue));
    }
}
