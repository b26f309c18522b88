//! Which engine a camera's frames go through: the one that reads the memory they lie in.
//!
//! A camera changes engines when its decoder changes: from a GPU to the processor, or to another
//! GPU. Its frames stay in order, since none takes the new route while one is on the old.

use std::sync::Arc;

use vas_frame::RingWriter;
use vas_status::DropReason;

use super::cuda::CudaCopyQueue;
use super::download::{Download as _, Memory, MemoryInUse};
use super::host::HostCopyQueue;
use super::ring_manager::{EngineAnswer, RingHandle};

/// A camera's routes, one of which is in use.
#[derive(Debug)]
pub(super) struct Routes {
    host: HostCopyQueue,
    cuda: Option<CudaCopyQueue>,
    /// The memory of the last frame handed over.
    memory: Memory,
    /// The GPU whose engine was asked for and has not been delivered.
    asked: Option<usize>,
    /// The ring manager has no engine for it.
    refused: bool,
    in_use: Arc<MemoryInUse>,
}

/// The route in use.
#[derive(Debug)]
pub(super) enum Route<'a> {
    Host(&'a HostCopyQueue),
    Cuda(&'a CudaCopyQueue),
}

impl Routes {
    pub(super) fn new(host: HostCopyQueue, in_use: Arc<MemoryInUse>) -> Self {
        Self { host, cuda: None, memory: Memory::Host, asked: None, refused: false, in_use }
    }

    /// Takes the ring manager's answers. Frames on the current route may finish.
    pub(super) fn receive(&mut self, handle: &RingHandle) {
        match handle.receive_engine() {
            None => {}
            Some(EngineAnswer::None) => self.refused = true,
            Some(EngineAnswer::NotYet) => self.asked = None,
            Some(EngineAnswer::CopyQueue(copy_queue))
                if self.asked == Some(copy_queue.device()) =>
            {
                (self.asked, self.refused) = (None, false);
                self.cuda = Some(copy_queue);
            }
            // Not what was last asked for; that answer is still to come.
            Some(EngineAnswer::CopyQueue(_)) => {}
        }
    }

    /// Selects the route for frames of this memory.
    ///
    /// # Errors
    /// The reason to drop the frame for while there is no route.
    pub(super) fn choose(
        &mut self,
        memory: Memory,
        handle: &RingHandle,
        writer: Option<&RingWriter>,
    ) -> Result<(), DropReason> {
        if memory != self.memory && self.in_flight() > 0 {
            return Err(DropReason::EngineChange);
        }
        if let Memory::Cuda(device) = memory {
            let copy_queue = self.cuda.as_ref().filter(|copy_queue| copy_queue.device() == device);
            // A stopped copy queue belongs to an earlier engine than the GPU may have by now.
            if copy_queue.is_none_or(CudaCopyQueue::is_over) && self.asked != Some(device) {
                self.refused = false;
                if handle.ask_engine(device, writer.map(RingWriter::pages)) {
                    self.asked = Some(device);
                }
            }
            if self.cuda.as_ref().is_none_or(|copy_queue| copy_queue.device() != device) {
                // A copy queue of another GPU has nothing in flight and is dropped.
                self.cuda = None;
                self.memory = Memory::Host;
                let refused = self.refused;
                return Err(if refused { DropReason::NoExport } else { DropReason::EpochOpening });
            }
        }
        if memory != self.memory {
            self.memory = memory;
            self.in_use.set(memory);
        }
        Ok(())
    }

    pub(super) fn chosen(&self) -> Route<'_> {
        match (&self.memory, &self.cuda) {
            (Memory::Cuda(_), Some(copy_queue)) => Route::Cuda(copy_queue),
            _ => Route::Host(&self.host),
        }
    }

    fn in_flight(&self) -> u32 {
        match self.chosen() {
            Route::Host(copy_queue) => copy_queue.in_flight(),
            Route::Cuda(copy_queue) => copy_queue.in_flight(),
        }
    }

    #[cfg(test)]
    pub(super) fn host(&self) -> &HostCopyQueue {
        &self.host
    }
}
