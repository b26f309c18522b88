//! A camera's way through the copy engine: frames in order, one copied at a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_frame::{CameraId, ClaimedSlot, Flags, Stamp};
use vas_media::{Frame, Nv12Converter, PixelLayout};

use super::keeper::ExportFacts;
use crate::pipeline::{DropReason, Shown};

/// Frames of a camera that may be handed over and not yet published. They hold memory of the decoder.
pub(super) const MAX_IN_FLIGHT: u32 = 3;
/// Frames copied before another camera has its turn.
const TURN: usize = 4;

/// A frame to be copied, and where to.
#[derive(Debug)]
pub(super) struct Job {
    frame: Frame,
    slot: ClaimedSlot,
    stamp: Stamp,
}

/// One camera's jobs. Empty frames wait in `spare` and are used again: a job allocates nothing.
pub(super) struct Lane {
    camera: CameraId,
    shown: Arc<Shown>,
    facts: Arc<ExportFacts>,
    jobs: ArrayQueue<Job>,
    spare: ArrayQueue<Frame>,
    /// Whether the lane is in the pool's queue or with a worker: it is never with two.
    scheduled: AtomicBool,
    /// Taken by the worker that has the lane, and by nobody else.
    converter: Mutex<Option<Nv12Converter>>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("camera", &self.camera)
            .field("jobs", &self.jobs.len())
            .finish()
    }
}

impl Lane {
    pub(super) fn new(camera: CameraId, shown: Arc<Shown>, facts: Arc<ExportFacts>) -> Self {
        let spare = ArrayQueue::new(MAX_IN_FLIGHT as usize);
        while spare.push(Frame::new()).is_ok() {}
        Self {
            camera,
            shown,
            facts,
            jobs: ArrayQueue::new(MAX_IN_FLIGHT as usize),
            spare,
            scheduled: AtomicBool::new(false),
            converter: Mutex::new(None),
        }
    }

    pub(super) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// A place for one more frame; `None` while `MAX_IN_FLIGHT` are on their way.
    pub(super) fn admit(&self) -> Option<Frame> {
        self.spare.pop()
    }

    /// Gives an admitted place back unused.
    pub(super) fn give_back(&self, mut frame: Frame) {
        frame.clear();
        // There are as many places as frames.
        let _ = self.spare.push(frame);
    }

    /// Adds a job. `true`: the lane must be put into the pool's queue now.
    pub(super) fn submit(&self, frame: Frame, slot: ClaimedSlot, stamp: Stamp) -> bool {
        // An admitted frame has its place here; if it had not, the slot would hold no frame.
        if let Err(job) = self.jobs.push(Job { frame, slot, stamp }) {
            self.shown.counters.dropped(DropReason::InFlight);
            self.give_back(job.frame);
            return false;
        }
        // Partner: the fence in `work`. Either the worker sees the job, or we see its flag lowered.
        fence(Ordering::SeqCst);
        !self.scheduled.swap(true, Ordering::SeqCst)
    }

    /// Copies and publishes jobs in order. `true`: there is more; put the lane into the queue again.
    pub(super) fn work(&self) -> bool {
        for _ in 0..TURN {
            match self.jobs.pop() {
                Some(job) => self.run(job),
                None => break,
            }
        }
        if !self.jobs.is_empty() {
            return true;
        }
        self.scheduled.store(false, Ordering::SeqCst);
        // Partner: the fence in `submit`.
        fence(Ordering::SeqCst);
        !self.jobs.is_empty() && !self.scheduled.swap(true, Ordering::SeqCst)
    }

    /// Keeps the lane out of the pool: who calls this does the work.
    #[cfg(test)]
    pub(super) fn schedule(&self) {
        while self.scheduled.swap(true, Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }

    fn run(&self, mut job: Job) {
        let copied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.copy(&job.frame, &mut job.slot)
        }));
        let Job { frame, slot, stamp } = job;
        match copied {
            Ok(Ok(())) => {
                let published_ns = slot.publish(&stamp);
                self.facts.ages.record(published_ns.saturating_sub(stamp.arrival_ns));
                let marked = Flags::CORRUPT.with(Flags::AFTER_LOSS, true).bits();
                self.shown.counters.exported_frame(stamp.flags.bits() & marked != 0);
            }
            Ok(Err(reason)) => self.failed(&reason),
            Err(_) => self.failed("internal error in the copy"),
        }
        // The picture goes back to the decoder only now: it was read until here.
        self.give_back(frame);
    }

    /// The dropped slot holds no frame; older ones stay readable.
    fn failed(&self, reason: &str) {
        self.shown.counters.dropped(DropReason::CopyFailed);
        tracing::warn!(camera = %self.camera, "a frame was not exported: {reason}");
    }

    fn copy(&self, frame: &Frame, slot: &mut ClaimedSlot) -> Result<(), String> {
        let plane = |i| Plane { data: frame.plane(i), stride: frame.stride(i) };
        let picture = match frame.layout() {
            PixelLayout::Yuv420p => Picture::Yuv420p { y: plane(0), u: plane(1), v: plane(2) },
            PixelLayout::Yuv420p10 => Picture::Yuv420p10 { y: plane(0), u: plane(1), v: plane(2) },
            PixelLayout::Nv12 => Picture::Nv12 { y: plane(0), uv: plane(1) },
            _ => return self.convert(frame, slot),
        };
        slot.write(&picture, StoreKind::Auto).map_err(|e| e.to_string())
    }

    fn convert(&self, frame: &Frame, slot: &mut ClaimedSlot) -> Result<(), String> {
        let stride = slot.geometry().stride() as usize;
        let (y, uv) = slot.planes_mut();
        let mut converter = self.converter.lock().unwrap_or_else(PoisonError::into_inner);
        let converter = converter.get_or_insert_with(Nv12Converter::new);
        converter.convert(frame, y, uv, stride).map_err(|e| e.to_string())
    }
}
