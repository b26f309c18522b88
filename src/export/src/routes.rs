//! Which engine a camera's frames go through: the one that reads the memory they lie in.
//!
//! A camera changes over when its decoder does: from a GPU to the processor, or to another GPU. Its frames
//! stay in order all the same, since none goes the new way while one is on the old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vas_frame::RingWriter;

use super::cuda::CudaLane;
use super::download::{Download as _, Memory};
use super::keeper::{Answer, Door};
use super::lane::HostLane;
use crate::pipeline::DropReason;

/// A camera's ways, of which one is in use.
#[derive(Debug)]
pub(super) struct Ways {
    host: HostLane,
    cuda: Option<CudaLane>,
    /// What frames were last handed over from.
    memory: Memory,
    /// The GPU whose engine the keeper was asked for and has not given.
    asked: Option<usize>,
    /// The keeper has none for it.
    refused: bool,
    shown: Arc<InUse>,
}

/// The way in use.
#[derive(Debug)]
pub(super) enum Way<'a> {
    Host(&'a HostLane),
    Cuda(&'a CudaLane),
}

/// The memory that a camera's frames come from, for the status.
#[derive(Debug, Default)]
pub(super) struct InUse(AtomicU64);

impl InUse {
    fn set(&self, memory: Memory) {
        let number = match memory {
            Memory::Host => 0,
            Memory::Cuda(device) => device as u64 + 1,
        };
        self.0.store(number, Ordering::Relaxed);
    }

    /// The GPU, if it is one.
    pub(super) fn device(&self) -> Option<usize> {
        usize::try_from(self.0.load(Ordering::Relaxed).checked_sub(1)?).ok()
    }
}

impl Ways {
    pub(super) fn new(host: HostLane, shown: Arc<InUse>) -> Self {
        Self { host, cuda: None, memory: Memory::Host, asked: None, refused: false, shown }
    }

    /// Takes what the keeper has for us. What is on the way that we have may go on.
    pub(super) fn receive(&mut self, door: &Door) {
        match door.receive_engine() {
            None => {}
            Some(Answer::None) => self.refused = true,
            Some(Answer::NotYet) => self.asked = None,
            Some(Answer::Lane(lane)) if self.asked == Some(lane.device()) => {
                (self.asked, self.refused) = (None, false);
                self.cuda = Some(lane);
            }
            // It is not what was asked for last, which is still to come.
            Some(Answer::Lane(_)) => {}
        }
    }

    /// Has frames of this memory go the way for it.
    ///
    /// # Errors
    /// What the frame is to be dropped for while there is none.
    pub(super) fn choose(
        &mut self,
        memory: Memory,
        door: &Door,
        writer: Option<&RingWriter>,
    ) -> Result<(), DropReason> {
        if memory != self.memory && self.in_flight() > 0 {
            return Err(DropReason::EngineChange);
        }
        if let Memory::Cuda(device) = memory {
            let lane = self.cuda.as_ref().filter(|lane| lane.device() == device);
            // One that leads nowhere is another engine's than the one that the GPU may have by now.
            if lane.is_none_or(CudaLane::is_over) && self.asked != Some(device) {
                self.refused = false;
                if door.ask_engine(device, writer.map(RingWriter::pages)) {
                    self.asked = Some(device);
                }
            }
            if self.cuda.as_ref().is_none_or(|lane| lane.device() != device) {
                // A lane that was another GPU's has nothing in flight, and goes.
                self.cuda = None;
                self.memory = Memory::Host;
                let refused = self.refused;
                return Err(if refused { DropReason::NoExport } else { DropReason::EpochOpening });
            }
        }
        if memory != self.memory {
            self.memory = memory;
            self.shown.set(memory);
        }
        Ok(())
    }

    pub(super) fn chosen(&self) -> Way<'_> {
        match (&self.memory, &self.cuda) {
            (Memory::Cuda(_), Some(lane)) => Way::Cuda(lane),
            _ => Way::Host(&self.host),
        }
    }

    fn in_flight(&self) -> u32 {
        match self.chosen() {
            Way::Host(lane) => lane.in_flight(),
            Way::Cuda(lane) => lane.in_flight(),
        }
    }

    #[cfg(test)]
    pub(super) fn host(&self) -> &HostLane {
        &self.host
    }
}
