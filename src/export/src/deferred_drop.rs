//! The thread that lets go of the last picture of a closed decoder, which destroys the decoder: that can take
//! long, and whoever publishes frames of other cameras must not wait for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, Thread};

use crossbeam_queue::ArrayQueue;
use vas_media::Frame;

use super::panics::Panics;

/// Decoders that may wait for their end. Further ones end where they are.
const MAX_WAITING: usize = 64;

/// The thread. Stopping it lets go of all that waits.
#[derive(Debug)]
pub(super) struct DeferredDrop {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The way to it.
#[derive(Clone, Debug)]
pub(super) struct DeferredDropHandle {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug)]
struct Shared {
    waiting: ArrayQueue<Frame>,
    /// Empty frames, used again.
    spare: ArrayQueue<Frame>,
    stop: AtomicBool,
    not_taken: AtomicU64,
}

impl DeferredDrop {
    pub(super) fn start(panics: Arc<Panics>) -> io::Result<Self> {
        let spare = ArrayQueue::new(MAX_WAITING);
        while spare.push(Frame::new()).is_ok() {}
        let shared = Arc::new(Shared {
            waiting: ArrayQueue::new(MAX_WAITING),
            spare,
            stop: AtomicBool::new(false),
            not_taken: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("vas-drop".into())
            .spawn(move || of_thread.work(&panics))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn route(&self) -> DeferredDropHandle {
        let thread = self.thread.as_ref().expect("there until drop").thread().clone();
        DeferredDropHandle { shared: Arc::clone(&self.shared), thread }
    }
}

impl Drop for DeferredDrop {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the deferred_drop thread panicked");
            }
        }
        let not_taken = self.shared.not_taken.load(Ordering::Relaxed);
        if not_taken > 0 {
            tracing::info!("{not_taken} decoders ended on a download thread");
        }
    }
}

impl DeferredDropHandle {
    /// Empties `frame`; its picture is let go soon, on the thread if there is room.
    pub(super) fn take(&self, frame: &mut Frame) {
        let Some(mut loan) = self.shared.spare.pop() else {
            self.shared.not_taken.fetch_add(1, Ordering::Relaxed);
            return frame.clear();
        };
        loan.take_from(frame);
        // As many as there are shells. The thread ends after all who come here.
        let _ = self.shared.waiting.push(loan);
        self.thread.unpark();
    }
}

impl Shared {
    fn work(&self, panics: &Panics) {
        loop {
            let ending = self.stop.load(Ordering::SeqCst);
            match self.waiting.pop() {
                Some(mut frame) => {
                    panics.catch("deferred_drop", None, || frame.clear());
                    let _ = self.spare.push(frame);
                }
                None if ending => return,
                // A wake-up since the look above ends this at once.
                None => std::thread::park(),
            }
        }
    }
}
