//! The demux thread's end of a branch's queue.

use std::fmt;
use std::sync::Arc;

use vas_media::{Coalescing, Packet, StreamInfo};

use super::branch::{Branch, BranchStats, Packets};
use super::queue::Pushed;

/// Takes a branch's packets from the demux thread, which never waits here.
#[derive(Clone)]
pub(super) struct Feed {
    packets: Arc<Packets>,
    stats: Arc<dyn BranchStats>,
    takes_sound: bool,
}

impl Feed {
    /// To `branch`, which needs each packet as it arrives, except while it is parked.
    pub(super) fn to(branch: &dyn Branch, coalescing: &Coalescing) -> Self {
        let packets = Arc::new(Packets::new(branch.limits()).prompt(coalescing));
        Self { packets, stats: branch.stats(), takes_sound: branch.takes_sound() }
    }

    pub(super) fn takes_sound(&self) -> bool {
        self.takes_sound
    }

    /// The branch's end.
    pub(super) fn packets(&self) -> Arc<Packets> {
        Arc::clone(&self.packets)
    }

    pub(super) fn begin(&self, stream: &StreamInfo) {
        self.stats.dropped(self.packets.push_stream(stream.clone()));
    }

    pub(super) fn packet(&self, packet: Packet) {
        self.stats.dropped(self.packets.push(packet));
    }

    /// Counts pictures that the source withheld when the RTSP client was to be changed, or left out
    /// because what they refer to is broken. A key frame follows, if anything does.
    pub(super) fn withheld(&self, pictures: u64) {
        self.stats.dropped(Pushed { before_key: pictures, ..Pushed::default() });
    }

    pub(super) fn end(&self) {
        self.stats.dropped(self.packets.push_end());
    }

    /// Drops packets until [`release`](Self::release), including those already queued, because the
    /// branch can't start.
    pub(super) fn hold(&self) {
        self.stats.dropped(self.packets.hold());
    }

    pub(super) fn release(&self) {
        self.packets.release();
    }

    pub(super) fn close(&self) {
        self.packets.close();
    }

    pub(super) fn panicked(&self) {
        self.stats.panicked();
        self.close();
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Feed").field(&self.packets).finish()
    }
}
