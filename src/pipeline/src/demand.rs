//! Whether anybody wants a camera's decoded frames, and since when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::branch::Packets;

/// Told by whoever looks for readers, asked on the decode thread with each frame: one load.
///
/// Times are `CLOCK_MONOTONIC` nanoseconds. Nobody wants any at first.
#[derive(Debug, Default)]
pub struct Demand {
    /// 0: nobody does.
    since_ns: AtomicU64,
    /// When the last one had gone.
    gone_ns: AtomicU64,
    /// What a resting decode thread waits on.
    queue: OnceLock<Arc<Packets>>,
}

impl Demand {
    /// Somebody is there. Nothing that arrived before `now_ns` is meant for them.
    pub fn begin(&self, now_ns: u64) {
        // Partner: the check under the queue's lock in `PacketQueue::park_unless`. Either it sees the demand,
        // or it has parked before we wake it.
        self.since_ns.store(now_ns.max(1), Ordering::SeqCst);
        if let Some(queue) = self.queue.get() {
            queue.unpark(now_ns);
        }
    }

    /// Nobody is there any more.
    pub fn end(&self, now_ns: u64) {
        self.gone_ns.store(now_ns, Ordering::Relaxed);
        self.since_ns.store(0, Ordering::SeqCst);
    }

    /// Since when somebody is there; `None` when nobody is.
    pub fn since_ns(&self) -> Option<u64> {
        let since_ns = self.since_ns.load(Ordering::SeqCst);
        (since_ns != 0).then_some(since_ns)
    }

    /// When the last one had gone; 0 when there never was one.
    pub(super) fn gone_ns(&self) -> u64 {
        self.gone_ns.load(Ordering::Relaxed)
    }

    /// Lets a thread that rests on `queue` be woken.
    pub(super) fn wakes(&self, queue: &Arc<Packets>) {
        let _ = self.queue.set(Arc::clone(queue));
    }
}
