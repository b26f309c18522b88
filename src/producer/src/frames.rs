//! Frames on their way from the decode thread to the encoder: references, four at most, no lock.

use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::sync::{Parker, Unparker};
use vas_media::Frame;

/// How many frames may wait: a decoder outputs several at once where pictures were reordered. More
/// would only add delay: an encoder that is too slow stays too slow.
const WAITING: usize = HELD_PICTURES as usize - 1;
/// Decoded pictures that an encoder holds at a time: those that wait, and the one being encoded.
pub const HELD_PICTURES: u32 = vas_surfaces::HELD_BY_ENCODER;

/// The queue. When it is full, a new frame is dropped rather than a waiting one, because releasing
/// a frame may cost the decode thread a call into a GPU's driver.
#[derive(Debug)]
pub(super) struct Frames {
    waiting: ArrayQueue<Numbered>,
    /// Frames without a picture, for reuse.
    spare: ArrayQueue<Frame>,
    closed: AtomicBool,
    unparker: Unparker,
}

/// A frame, and the stream of the camera that it belongs to.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) frame: Frame,
    pub(super) stream: u64,
}

impl Frames {
    pub(super) fn new(parker: &Parker) -> Self {
        let frames = Self {
            waiting: ArrayQueue::new(WAITING),
            spare: ArrayQueue::new(WAITING + 1),
            closed: AtomicBool::new(false),
            unparker: parker.unparker().clone(),
        };
        // One more is being encoded.
        for _ in 0..=WAITING {
            let _ = frames.spare.push(Frame::new());
        }
        frames
    }

    /// Adds a reference to `frame`; `false` when the queue is full.
    pub(super) fn share(&self, frame: &Frame, stream: u64) -> bool {
        if self.waiting.is_full() {
            return false;
        }
        let Some(mut shared) = self.spare.pop() else { return false };
        if shared.ref_from(frame).is_err() {
            let _ = self.spare.push(shared);
            return false;
        }
        let pushed = self.waiting.push(Numbered { frame: shared, stream });
        self.unparker.unpark();
        pushed.is_ok()
    }

    /// The next frame, waiting for it; `None` once closed.
    pub(super) fn next(&self, parker: &Parker) -> Option<Numbered> {
        loop {
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
            if let Some(next) = self.waiting.pop() {
                return Some(next);
            }
            parker.park();
        }
    }

    /// Gives a frame back. Its picture is released here, on the encoder's thread, unless it is still in a surface of
    /// VA-API: its driver may hang.
    pub(super) fn done(&self, mut frame: Frame) {
        frame.release_apart();
        let _ = self.spare.push(frame);
    }

    /// Releases the frames that wait, after [`close`](Self::close).
    pub(super) fn release_waiting(&self) {
        while let Some(Numbered { frame, .. }) = self.waiting.pop() {
            self.done(frame);
        }
    }

    pub(super) fn close(&self) {
        // Partner: the load in `next`.
        self.closed.store(true, Ordering::Release);
        self.unparker.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_takes_no_more_and_goes_on_when_it_has_place() {
        let parker = Parker::new();
        let frames = Frames::new(&parker);
        let frame = Frame::new();
        for number in 0..WAITING as u64 {
            assert!(frames.share(&frame, number));
        }
        assert!(!frames.share(&frame, 9));
        let first = frames.next(&parker).unwrap();
        assert_eq!(first.stream, 0);
        assert!(frames.share(&frame, 7), "while the encoder works on one");
        assert!(!frames.share(&frame, 8));
        frames.done(first.frame);
        assert_eq!(frames.next(&parker).unwrap().stream, 1);
        frames.close();
        assert!(frames.next(&parker).is_none(), "closed is closed, whatever waits");
    }
}
