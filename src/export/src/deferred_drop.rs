//! The thread that drops the last picture of a closed decoder, and so destroys the decoder. That
//! can take long, and must not delay the thread that publishes other cameras' frames.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;

use crossbeam_queue::ArrayQueue;
use vas_media::Frame;
use vas_threads::{OwnedThread, StopRequest};

use super::panics::Panics;

/// Decoders that may wait to be destroyed. Any beyond that are destroyed by the thread that
/// releases them.
const MAX_WAITING: usize = 64;

/// The thread. Stopping it drops all that waits.
#[derive(Debug)]
pub(super) struct DeferredDrop {
    shared: Arc<Shared>,
    thread: Option<OwnedThread>,
}

/// Passes frames to the thread.
#[derive(Clone, Debug)]
pub(super) struct DeferredDropHandle {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug)]
struct Shared {
    waiting: ArrayQueue<Frame>,
    /// Empty frames for reuse.
    spare: ArrayQueue<Frame>,
    not_taken: AtomicU64,
}

impl DeferredDrop {
    pub(super) fn start(panics: Arc<Panics>) -> io::Result<Self> {
        let spare = ArrayQueue::new(MAX_WAITING);
        while spare.push(Frame::new()).is_ok() {}
        let shared = Arc::new(Shared {
            waiting: ArrayQueue::new(MAX_WAITING),
            spare,
            not_taken: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        let work = move |stop: StopRequest| of_thread.work(&panics, &stop);
        let thread = OwnedThread::spawn("vas-drop", work)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn handle(&self) -> DeferredDropHandle {
        let thread = self.thread.as_ref().expect("there until drop").thread().clone();
        DeferredDropHandle { shared: Arc::clone(&self.shared), thread }
    }
}

impl Drop for DeferredDrop {
    fn drop(&mut self) {
        drop(self.thread.take());
        let not_taken = self.shared.not_taken.load(Ordering::Relaxed);
        if not_taken > 0 {
            tracing::info!("{not_taken} decoders were destroyed on a download thread");
        }
    }
}

impl DeferredDropHandle {
    /// Empties `frame`; the thread drops its picture soon, or this call does when the queue is
    /// full.
    pub(super) fn take(&self, frame: &mut Frame) {
        let Some(mut loan) = self.shared.spare.pop() else {
            self.shared.not_taken.fetch_add(1, Ordering::Relaxed);
            return frame.clear();
        };
        loan.take_from(frame);
        // The queue has as many slots as there are empty frames. The thread outlives every caller.
        let _ = self.shared.waiting.push(loan);
        self.thread.unpark();
    }
}

impl Shared {
    fn work(&self, panics: &Panics, stop: &StopRequest) {
        loop {
            let ending = stop.is_made();
            match self.waiting.pop() {
                Some(mut frame) => {
                    panics.catch("deferred_drop", None, || frame.clear());
                    let _ = self.spare.push(frame);
                }
                None if ending => return,
                // A wake-up since the pop above makes this return at once.
                None => std::thread::park(),
            }
        }
    }
}
