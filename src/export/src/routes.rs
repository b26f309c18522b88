//! Which engine a camera's frames go through: the one that reads the memory they lie in.
//!
//! A camera changes engines when its decoder changes: from a GPU to the processor, or to another
//! GPU. Its frames stay in order, since none takes the new route while one is on the old.

use std::sync::Arc;

use vas_frame::RingWriter;
use vas_status::DropReason;

use super::cuda::CudaCopyQueue;
use super::download::{Download as _, Memory, MemoryInUse};
use super::engines::ToPrepare;
use super::host::HostCopyQueue;
use super::ring_manager::{EngineAnswer, RingHandle};
use super::vaapi::NodeCopyQueue;

/// A camera's routes, one of which is in use.
#[derive(Debug)]
pub(super) struct Routes {
    host: HostCopyQueue,
    cuda: Option<CudaCopyQueue>,
    vaapi: Option<NodeCopyQueue>,
    /// The memory of the last frame handed over.
    memory: Memory,
    /// The memory whose engine was asked for and has not been delivered.
    asked: Option<Memory>,
    /// The ring manager has no engine for it.
    refused: bool,
    in_use: Arc<MemoryInUse>,
    /// Slots of the ring are with a thread that hangs.
    lost_slots: bool,
}

/// The route in use.
#[derive(Debug)]
pub(super) enum Route<'a> {
    Host(&'a HostCopyQueue),
    Cuda(&'a CudaCopyQueue),
    Vaapi(&'a NodeCopyQueue),
}

impl Routes {
    pub(super) fn new(host: HostCopyQueue, in_use: Arc<MemoryInUse>) -> Self {
        let (cuda, vaapi, memory, asked) = (None, None, Memory::Host, None);
        Self { host, cuda, vaapi, memory, asked, refused: false, in_use, lost_slots: false }
    }

    /// Takes the ring manager's answers. Frames on the current route may finish.
    pub(super) fn receive(&mut self, handle: &RingHandle) {
        match handle.receive_engine() {
            None => {}
            Some(EngineAnswer::None) => self.refused = true,
            Some(EngineAnswer::NotYet) => self.asked = None,
            Some(EngineAnswer::CopyQueue(copy_queue))
                if self.asked == Some(Memory::Cuda(copy_queue.device())) =>
            {
                (self.asked, self.refused) = (None, false);
                self.cuda = Some(copy_queue);
            }
            // Frames of a lost engine may still be on their way.
            Some(EngineAnswer::OfNode(_))
                if self.vaapi.as_ref().is_some_and(|queue| queue.in_flight() > 0) =>
            {
                self.asked = None;
            }
            Some(EngineAnswer::OfNode(copy_queue))
                if self.asked == Some(Memory::Vaapi(copy_queue.minor())) =>
            {
                (self.asked, self.refused) = (None, false);
                self.vaapi = Some(copy_queue);
            }
            // Not what was last asked for; that answer is still to come.
            Some(EngineAnswer::CopyQueue(_) | EngineAnswer::OfNode(_)) => {}
        }
    }

    /// Selects the route for frames of this memory; `converted`: a GPU must convert them.
    ///
    /// # Errors
    /// The reason to drop the frame for while there is no route.
    pub(super) fn choose(
        &mut self,
        memory: Memory,
        converted: bool,
        handle: &RingHandle,
        writer: Option<&RingWriter>,
    ) -> Result<(), DropReason> {
        self.abandon_if_hanging();
        if memory != self.memory && self.in_flight() > 0 {
            return Err(DropReason::EngineChange);
        }
        if let Memory::Vaapi(node) = memory {
            self.find_node(node, handle)?;
        }
        if let Memory::Cuda(device) = memory {
            let copy_queue = self.cuda.as_ref().filter(|copy_queue| copy_queue.device() == device);
            // A stopped copy queue belongs to an earlier engine than the GPU may have by now.
            if copy_queue.is_none_or(CudaCopyQueue::is_over) && self.asked != Some(memory) {
                self.refused = false;
                let ring = writer.map(|writer| ToPrepare::new(writer, converted));
                if handle.ask_engine(memory, ring) {
                    self.asked = Some(memory);
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

    /// Gives up the frames of a node whose thread hangs.
    pub(super) fn abandon_if_hanging(&mut self) {
        if let (Memory::Vaapi(_), Some(vaapi)) = (self.memory, &self.vaapi)
            && vaapi.abandon_if_hanging()
        {
            self.vaapi = None;
            self.memory = Memory::Host;
            self.lost_slots = true;
        }
    }

    /// Asks for a node's engine, if there is none.
    fn find_node(&mut self, node: u32, handle: &RingHandle) -> Result<(), DropReason> {
        let of_node = self.vaapi.as_ref().filter(|queue| queue.minor() == node);
        let lost = match of_node {
            Some(queue) if !queue.is_over() => return Ok(()),
            Some(_) => true,
            // One of another node has nothing in flight.
            None => false,
        };
        let asked = Memory::Vaapi(node);
        if self.asked != Some(asked) {
            self.refused = false;
            if handle.ask_engine(asked, None) {
                self.asked = Some(asked);
            }
        }
        Err(match (lost, self.refused) {
            (true, _) => DropReason::GpuLost,
            (_, true) => DropReason::NoExport,
            (_, false) => DropReason::EpochOpening,
        })
    }

    /// Whether slots of the open ring were lost to a thread that hangs, since the last call.
    pub(super) fn has_lost_slots(&mut self) -> bool {
        std::mem::take(&mut self.lost_slots)
    }

    pub(super) fn chosen(&self) -> Route<'_> {
        match (&self.memory, &self.cuda, &self.vaapi) {
            (Memory::Cuda(_), Some(copy_queue), _) => Route::Cuda(copy_queue),
            (Memory::Vaapi(_), _, Some(copy_queue)) => Route::Vaapi(copy_queue),
            _ => Route::Host(&self.host),
        }
    }

    fn in_flight(&self) -> u32 {
        match self.chosen() {
            Route::Host(copy_queue) => copy_queue.in_flight(),
            Route::Cuda(copy_queue) => copy_queue.in_flight(),
            Route::Vaapi(copy_queue) => copy_queue.in_flight(),
        }
    }

    #[cfg(test)]
    pub(super) fn host(&self) -> &HostCopyQueue {
        &self.host
    }
}
