//! Consumers of an input's packets: each branch is one type that implements one trait.
//!
//! The demux thread pushes a reference to each packet into each branch's queue and waits for none
//! of them. A branch that can't keep up loses packets of its own queue, up to its next key frame;
//! neither the input nor another branch is affected.

use std::io;
use std::sync::Arc;

use vas_media::{Packet, StreamInfo};

use super::queue::{Limits, PacketQueue, Pushed};

/// A branch's queue of work, in order.
pub type Packets = PacketQueue<Packet, StreamInfo>;

/// One consumer of an input's packets, on a thread of its own.
pub trait Branch: Send {
    /// A word of at least three letters for what it does; names its thread.
    fn job(&self) -> &'static str;

    /// How much may wait in its queue.
    fn limits(&self) -> Limits;

    /// Whether it takes sound, too. Other branches never see any.
    fn takes_sound(&self) -> bool {
        false
    }

    /// Whether the input runs without it while the system lacks what it needs; `None`: it does not.
    fn late(&self) -> Option<Late> {
        None
    }

    /// Takes what it needs besides its thread. Called before the thread is started, and again when
    /// either failed.
    ///
    /// # Errors
    /// The system lacks something; a later call may succeed.
    fn prepare(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Where its events are recorded while it runs.
    fn stats(&self) -> Arc<dyn BranchStats>;

    /// Works until `packets` is closed.
    fn run(self: Box<Self>, packets: Arc<Packets>);
}

/// The purpose of a part that may start after its camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// For the producer: started right after its camera. What arrives while it can't start is
    /// dropped.
    Producer,
    /// For exports only: started once all cameras have what they need to record and produce.
    Export,
}

/// A part of a camera besides its branches that may start late.
pub trait LatePart: Send {
    /// Starts it.
    ///
    /// # Errors
    /// The system lacks something; a later call may succeed.
    fn start(&mut self) -> io::Result<()>;
}

/// Records what happens to a branch outside of its own code.
pub trait BranchStats: Send + Sync {
    /// Its queue dropped packets. Called on the demux thread: it must not wait.
    fn dropped(&self, dropped: Pushed);

    /// Its thread panicked; it stays off until a restart.
    fn panicked(&self);
}
