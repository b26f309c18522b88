//! A camera's copy queue in the host's download engine.

use std::sync::Arc;

use vas_frame::{ClaimedSlot, Stamp};
use vas_media::Frame;
use vas_status::DropReason;

use super::copy_queue::CopyQueue;
use super::download::Download;
use super::pool::Submitter;

/// What the tap holds: a camera's copy queue and the pool that serves it.
#[derive(Debug)]
pub(super) struct HostCopyQueue {
    copy_queue: Arc<CopyQueue>,
    submitter: Submitter,
}

/// The empty frame that a picture moves into.
#[derive(Debug)]
pub(super) struct Permit {
    frame: Option<Frame>,
    copy_queue: Arc<CopyQueue>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(frame) = self.frame.take() {
            self.copy_queue.give_back(frame);
        }
    }
}

impl HostCopyQueue {
    pub(super) fn new(copy_queue: Arc<CopyQueue>, submitter: Submitter) -> Self {
        Self { copy_queue, submitter }
    }

    #[cfg(test)]
    pub(super) fn copy_queue(&self) -> Arc<CopyQueue> {
        Arc::clone(&self.copy_queue)
    }
}

impl Download for HostCopyQueue {
    type Permit = Permit;

    fn admit(&self) -> Result<Permit, DropReason> {
        let frame = Some(self.copy_queue.spare().ok_or(DropReason::InFlight)?);
        Ok(Permit { frame, copy_queue: Arc::clone(&self.copy_queue) })
    }

    fn submit(&self, mut permit: Permit, frame: &mut Frame, slot: ClaimedSlot, stamp: Stamp) {
        let Some(mut held) = permit.frame.take() else { return };
        held.take_from(frame);
        if self.copy_queue.submit(held, slot, stamp) {
            self.submitter.enter(&self.copy_queue);
        }
    }

    fn in_flight(&self) -> u32 {
        self.copy_queue.in_flight()
    }
}
