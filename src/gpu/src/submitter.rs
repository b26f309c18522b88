//! Where taps and the engine's thread meet. Nothing here calls the driver or releases anything of
//! it: copy queues may outlive the engine, and drop this on a decode thread.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use vas_cuda::CudaError;
use vas_frame::RingPages;
use vas_threads::EventCount;

use crate::job::{Job, Surface};
use crate::outcome::Failure;
use crate::permit::{NotAdmitted, Semaphore};
use crate::rings::Status;

/// Rings that may wait to be pinned. One that finds the queue full is pinned with its first frame.
const MAX_TO_PIN: usize = 64;

/// A ring to be pinned.
pub(crate) struct ToPin {
    pub(crate) pages: RingPages,
    /// The device memory that its frames need, if a kernel converts them.
    pub(crate) scratch_bytes: Option<usize>,
}

/// The part of the engine that copy queues see.
pub(crate) struct GpuSubmitter<S> {
    jobs: ArrayQueue<Job<S>>,
    to_pin: ArrayQueue<ToPin>,
    to_release: ArrayQueue<RingPages>,
    wants_sweep: AtomicBool,
    event_count: EventCount,
    semaphore: Arc<Semaphore>,
    stop: AtomicBool,
    /// The engine's thread takes no more: whoever finds a job in `jobs` gives it up.
    closed: AtomicBool,
    lost: AtomicBool,
    status: Mutex<Status>,
}

impl<S> GpuSubmitter<S> {
    /// For up to `permits` frames in flight.
    pub(crate) fn new(permits: u32) -> Self {
        Self {
            jobs: ArrayQueue::new(permits.max(1) as usize),
            to_pin: ArrayQueue::new(MAX_TO_PIN),
            to_release: ArrayQueue::new(MAX_TO_PIN),
            wants_sweep: AtomicBool::new(false),
            event_count: EventCount::default(),
            semaphore: Arc::new(Semaphore::new(permits)),
            stop: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            status: Mutex::default(),
        }
    }

    pub(crate) fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// Whether frames are taken.
    pub(crate) fn open(&self) -> Result<(), NotAdmitted> {
        // The engine of a lost device is stopped, too.
        if self.lost.load(Ordering::Relaxed) {
            Err(NotAdmitted::DeviceLost)
        } else if self.stop.load(Ordering::Relaxed) {
            Err(NotAdmitted::Stopped)
        } else {
            Ok(())
        }
    }

    pub(crate) fn status(&self) -> Status {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn lose(&self, error: &CudaError) {
        self.change_status(|status| status.lost = Some(*error));
        self.lost.store(true, Ordering::Relaxed);
        self.ask_to_sweep();
    }

    pub(crate) fn ask_to_pin(&self, ring: ToPin) {
        // If the queue is full it is pinned with its first frame.
        let _asked = self.to_pin.push(ring);
        self.event_count.wake_one();
        self.clear_if_closed();
    }

    pub(crate) fn ask_to_release(&self, pages: RingPages) {
        // If the queue is full it stays pinned as long as anything holds it.
        let _asked = self.to_release.push(pages);
        self.event_count.wake_one();
        self.clear_if_closed();
    }

    pub(crate) fn ask_to_sweep(&self) {
        self.wants_sweep.store(true, Ordering::SeqCst);
        self.event_count.wake_one();
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.event_count.wake_one();
    }

    /// After the engine's end nothing else would release them.
    fn clear_if_closed(&self) {
        // Partner: the fence in `close`. Either its sweep sees what we added, or we see it closed.
        fence(Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            self.clear_rings();
        }
    }

    fn clear_rings(&self) {
        while self.to_pin.pop().is_some() {}
        while self.to_release.pop().is_some() {}
    }

    // The engine's thread's side.

    pub(crate) fn enrol(&self) {
        self.event_count.enrol(0);
    }

    pub(crate) fn next(&self) -> Option<Job<S>> {
        self.jobs.pop()
    }

    pub(crate) fn next_to_pin(&self) -> Option<ToPin> {
        self.to_pin.pop()
    }

    pub(crate) fn next_to_release(&self) -> Option<RingPages> {
        self.to_release.pop()
    }

    pub(crate) fn takes_sweep(&self) -> bool {
        self.wants_sweep.load(Ordering::SeqCst) && self.wants_sweep.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(crate) fn sleep(&self) {
        self.event_count.sleep(0, || {
            !self.jobs.is_empty()
                || !self.to_pin.is_empty()
                || !self.to_release.is_empty()
                || self.wants_sweep.load(Ordering::SeqCst)
                || self.is_stopping()
        });
    }
}

impl<S: Surface> GpuSubmitter<S> {
    /// Queues a job: at most one system call.
    pub(crate) fn enter(&self, job: Job<S>) {
        // A permit guarantees room here.
        if let Err(job) = self.jobs.push(job) {
            debug_assert!(false, "more jobs than permits");
            return job.give_up(Failure::Stopped);
        }
        self.event_count.wake_one();
        // Partner: the fence in `close`, as in `clear_if_closed`.
        fence(Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            self.give_up_all();
        }
    }

    /// The engine's thread takes nothing from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.give_up_all();
        self.clear_rings();
    }

    fn give_up_all(&self) {
        while let Some(job) = self.jobs.pop() {
            job.give_up(Failure::Stopped);
        }
    }
}
