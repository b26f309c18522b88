//! Empty frames that decoded pictures move into, for reuse: a hand-over allocates nothing.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use vas_media::Frame;

use super::deferred_drop::DeferredDropHandle;
use super::download::MAX_IN_FLIGHT;

/// A camera's empty frames, as many as it may have in flight.
pub(super) struct FramePool {
    spare: ArrayQueue<Frame>,
    /// Where the last frame of a decoder is dropped, if destroying that decoder is slow.
    deferred_drop: Option<DeferredDropHandle>,
}

/// A frame on loan. However it is dropped, panics included, its picture goes back to the decoder
/// and the frame to the pool.
pub(super) struct LoanedFrame {
    frame: Option<Frame>,
    pool: Arc<FramePool>,
}

impl FramePool {
    pub(super) fn new(deferred_drop: Option<DeferredDropHandle>) -> Arc<Self> {
        let spare = ArrayQueue::new(MAX_IN_FLIGHT as usize);
        while spare.push(Frame::new()).is_ok() {}
        Arc::new(Self { spare, deferred_drop })
    }

    /// An empty frame for one more picture; `None` when the maximum is in flight.
    pub(super) fn lend(self: &Arc<Self>) -> Option<LoanedFrame> {
        let frame = self.spare.pop()?;
        Some(LoanedFrame { frame: Some(frame), pool: Arc::clone(self) })
    }

    /// Frames on loan.
    pub(super) fn on_loan(&self) -> u32 {
        MAX_IN_FLIGHT - u32::try_from(self.spare.len()).unwrap_or(MAX_IN_FLIGHT)
    }
}

impl fmt::Debug for FramePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramePool").field("on_loan", &self.on_loan()).finish_non_exhaustive()
    }
}

impl Deref for LoanedFrame {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        self.frame.as_ref().expect("there until drop")
    }
}

impl DerefMut for LoanedFrame {
    fn deref_mut(&mut self) -> &mut Frame {
        self.frame.as_mut().expect("there until drop")
    }
}

impl Drop for LoanedFrame {
    /// For a surface this runs on the reaper: unmapping it is short, destroying a decoder is not.
    fn drop(&mut self) {
        let Some(mut frame) = self.frame.take() else { return };
        match &self.pool.deferred_drop {
            Some(deferred_drop) if frame.is_last_of_decoder() => deferred_drop.take(&mut frame),
            _ => frame.clear(),
        }
        // The queue has as many slots as there are empty frames.
        let _ = self.pool.spare.push(frame);
    }
}

impl fmt::Debug for LoanedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoanedFrame").field(&self.frame).finish()
    }
}
