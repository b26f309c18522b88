//! What an input's packets are for: a branch is one type that implements one trait.
//!
//! The demux thread hands each packet to each branch's queue, a reference and no copy, and waits for none
//! of them. A branch that can't keep up loses packets of its own queue, up to its next key frame, and
//! neither the input nor another branch learns of it.

use std::sync::Arc;

use vas_media::{Packet, StreamInfo};

use super::queue::{Limits, PacketQueue, Pushed};

/// What a branch works on, in order.
pub type Packets = PacketQueue<Packet, StreamInfo>;

/// One use of an input's packets, on a thread of its own.
pub trait Branch: Send {
    /// What it does, in a word of at least three letters; names its thread.
    fn job(&self) -> &'static str;

    /// How much may wait for it.
    fn limits(&self) -> Limits;

    /// Whether it takes sound, too. Others never see any.
    fn takes_sound(&self) -> bool {
        false
    }

    /// Whether the input is to run without it for as long as there is no thread for it.
    fn is_put_off(&self) -> bool {
        false
    }

    /// What is told of it while it runs.
    fn stats(&self) -> Arc<dyn BranchStats>;

    /// Works until `packets` is closed.
    fn run(self: Box<Self>, packets: Arc<Packets>);
}

/// Takes note of what happens to a branch outside of its own code.
pub trait BranchStats: Send + Sync {
    /// Its queue dropped packets. Called on the demux thread: it must not wait.
    fn dropped(&self, dropped: Pushed);

    /// Its thread panicked; it stays off until a restart.
    fn panicked(&self);
}
