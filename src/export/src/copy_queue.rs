//! A camera's queue in the host's engine: frames in order, one copied at a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_frame::{CameraId, ClaimedSlot, PublishMeta};
use vas_media::{Frame, Nv12Converter, PixelLayout};
use vas_status::DropReason;

use super::download::{Account, MAX_IN_FLIGHT};
use super::frame_pool::{FramePool, LoanedFrame};

/// Frames copied before the worker moves on to another camera.
const TURN: usize = 4;

/// A frame to be copied, and its slot.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) frame: LoanedFrame,
    pub(super) slot: ClaimedSlot,
    pub(super) meta: PublishMeta,
}

/// One camera's jobs, shared by its tap and the pool.
pub(super) struct CopyQueue {
    account: Account,
    jobs: ArrayQueue<Job>,
    frames: Arc<FramePool>,
    /// Whether the copy queue is in the pool's queue or with a worker; never with two.
    scheduled: AtomicBool,
    /// Locked only by the worker that holds the copy queue.
    converter: Mutex<Option<Nv12Converter>>,
}

impl fmt::Debug for CopyQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyQueue")
            .field("camera", self.account.camera())
            .field("jobs", &self.jobs.len())
            .finish()
    }
}

impl CopyQueue {
    pub(super) fn new(account: Account) -> Self {
        Self {
            account,
            jobs: ArrayQueue::new(MAX_IN_FLIGHT as usize),
            frames: FramePool::new(None),
            scheduled: AtomicBool::new(false),
            converter: Mutex::new(None),
        }
    }

    pub(super) fn camera(&self) -> &CameraId {
        self.account.camera()
    }

    /// An empty frame for one more picture; `None` when the maximum is in flight.
    pub(super) fn lend(&self) -> Option<LoanedFrame> {
        self.frames.lend()
    }

    /// Adds a job. `true`: the caller must put the copy queue into the pool's queue now.
    pub(super) fn submit(&self, job: Job) -> bool {
        // An admitted frame always fits; if it did not, its slot would be released empty.
        if let Err(job) = self.jobs.push(job) {
            self.account.dropped(DropReason::InFlight);
            drop(job);
            return false;
        }
        // Partner: the fence in `rest`. Either the worker sees the job, or we see its flag lowered.
        fence(Ordering::SeqCst);
        !self.scheduled.swap(true, Ordering::SeqCst)
    }

    /// Copies and publishes jobs in order. `true`: there is more; put the copy queue back into the
    /// pool's queue.
    pub(super) fn work(&self) -> bool {
        let _named = vas_crash::name_thread(self.account.camera().as_str());
        for _ in 0..TURN {
            match self.jobs.pop() {
                Some(job) => self.run(job),
                None => break,
            }
        }
        if !self.jobs.is_empty() {
            return true;
        }
        self.rest()
    }

    /// Leaves the pool, unless there is more work.
    fn rest(&self) -> bool {
        self.scheduled.store(false, Ordering::SeqCst);
        // Partner: the fence in `submit`.
        fence(Ordering::SeqCst);
        !self.jobs.is_empty() && !self.scheduled.swap(true, Ordering::SeqCst)
    }

    /// Frames that are neither published nor given up.
    pub(super) fn in_flight(&self) -> u32 {
        self.frames.on_loan()
    }

    /// Whether the queue waits for a worker or is with one.
    #[cfg(test)]
    pub(super) fn is_scheduled(&self) -> bool {
        self.scheduled.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(super) fn schedule(&self) {
        while self.scheduled.swap(true, Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }

    /// Gives up all waiting jobs, after a panic. `true`: there is more; put the copy queue back
    /// into the pool's queue.
    pub(super) fn give_up(&self) -> bool {
        while let Some(Job { frame, slot, .. }) = self.jobs.pop() {
            self.account.dropped(DropReason::CopyFailed);
            drop(slot);
            drop(frame);
        }
        self.rest()
    }

    fn run(&self, job: Job) {
        // `frame` is dropped at the end: the picture is read until then.
        let Job { frame, mut slot, meta } = job;
        let copied = self.account.catch("copy", || {
            self.copy(&frame, &mut slot)?;
            self.account.trip("publication");
            let published_ns = slot.publish(&meta);
            self.account.published(&meta, published_ns);
            Ok::<_, String>(())
        });
        match copied {
            Some(Ok(())) => {}
            Some(Err(reason)) => self.account.failed(&reason),
            None => {
                self.account.dropped(DropReason::CopyFailed);
                *self.converter.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
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
