//! The host's download engine: a bounded pool of threads that copy decoded pictures into slots.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam_queue::ArrayQueue;
use vas_config::Config;
use vas_frame::{ClaimedSlot, PublishMeta};
use vas_media::Frame;
use vas_scale::Plan;
use vas_status::DropReason;
use vas_threads::{EventCount, OwnedThread, StopRequest};

use super::copy_queue::{CopyQueue, Job};
use super::download::Download;
use super::frame_pool::LoanedFrame;
use super::panics::Panics;

/// The threads. They live as long as this value.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<OwnedThread>,
    /// How many workers there should be.
    wanted: usize,
}

/// Where taps submit copy queues.
#[derive(Clone, Debug)]
pub(super) struct Submitter(Arc<Shared>);

/// What the tap holds: a camera's copy queue and the pool that serves it.
#[derive(Debug)]
pub(super) struct HostCopyQueue {
    copy_queue: Arc<CopyQueue>,
    submitter: Submitter,
}

/// Copy queues that have work, and the workers that wait for them.
#[derive(Debug)]
pub(super) struct Shared {
    ready: ArrayQueue<Arc<CopyQueue>>,
    event_count: EventCount,
    panics: Arc<Panics>,
    /// Set by the only thread of a node's engine, which has ended.
    closed: AtomicBool,
}

impl Pool {
    /// A pool of half as many workers as there are processors: a copy is a small part of the cost
    /// of a decode. None is started yet.
    pub(super) fn new(panics: Arc<Panics>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared::new(panics));
        Self { shared, workers: Vec::new(), wanted: processors.div_ceil(2).min(EventCount::MAX) }
    }

    /// Starts the missing workers.
    ///
    /// # Errors
    /// The system has no thread to give; the workers that were started still run.
    pub(super) fn start_missing(&mut self) -> io::Result<()> {
        for index in self.workers.len()..self.wanted {
            let shared = Arc::clone(&self.shared);
            let work = move |stop: StopRequest| shared.work(index, &stop);
            self.workers.push(OwnedThread::spawn(format!("vas-copy-{index}"), work)?);
        }
        Ok(())
    }

    /// Whether submitted frames are copied.
    pub(super) fn works(&self) -> bool {
        !self.workers.is_empty()
    }

    /// Whether all workers run.
    pub(super) fn is_whole(&self) -> bool {
        self.workers.len() >= self.wanted
    }

    #[cfg(test)]
    pub(super) fn start() -> io::Result<Self> {
        let mut pool = Self::new(Arc::default());
        pool.start_missing()?;
        Ok(pool)
    }

    pub(super) fn submitter(&self) -> Submitter {
        Submitter(Arc::clone(&self.shared))
    }

    /// Finishes all submitted frames and ends the threads.
    pub(super) fn stop(self) {
        drop(self);
    }
}

impl Submitter {
    pub(super) fn to(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Queues a copy queue that has work and wakes a worker: at most one system call.
    pub(super) fn enter(&self, copy_queue: &Arc<CopyQueue>) {
        self.0.enter(Arc::clone(copy_queue));
    }
}

impl Shared {
    pub(super) fn new(panics: Arc<Panics>) -> Self {
        Self {
            ready: ArrayQueue::new(Config::MAX_CAMERAS),
            event_count: EventCount::default(),
            panics,
            closed: AtomicBool::new(false),
        }
    }

    fn enter(&self, copy_queue: Arc<CopyQueue>) {
        // Each camera is queued at most once, and the service refuses more than
        // [`Config::MAX_CAMERAS`].
        let queued = self.ready.push(copy_queue);
        debug_assert!(queued.is_ok());
        self.event_count.wake_one();
        // Partner: the fence in `close`. Either it gives up what we added, or we see it closed.
        fence(Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            self.give_up_all();
        }
    }

    /// Nothing is copied from now on: what is queued, and whatever follows, is given up.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.give_up_all();
    }

    fn give_up_all(&self) {
        while let Some(copy_queue) = self.ready.pop() {
            while copy_queue.give_up() {}
        }
    }

    /// The work of a thread.
    pub(super) fn work(&self, index: usize, stop: &StopRequest) {
        self.event_count.enrol(index);
        loop {
            if let Some(copy_queue) = self.ready.pop() {
                let worked = self
                    .panics
                    .catch("copy worker", Some(copy_queue.camera()), || copy_queue.work());
                if worked.unwrap_or_else(|| copy_queue.give_up()) {
                    self.enter(copy_queue);
                }
            } else if stop.is_made() {
                return;
            } else {
                let has_work = || !self.ready.is_empty() || stop.is_made();
                self.event_count.sleep(index, has_work);
            }
        }
    }
}

/// The same, for pictures that are scaled by a plan.
#[derive(Debug)]
pub(super) struct Scaling<'a> {
    copy_queue: &'a HostCopyQueue,
    plan: Option<Plan>,
}

impl HostCopyQueue {
    pub(super) fn new(copy_queue: Arc<CopyQueue>, submitter: Submitter) -> Self {
        Self { copy_queue, submitter }
    }

    /// For pictures that are scaled by this plan, or not at all.
    pub(super) fn scaling(&self, plan: Option<Plan>) -> Scaling<'_> {
        Scaling { copy_queue: self, plan }
    }

    #[cfg(test)]
    pub(super) fn copy_queue(&self) -> Arc<CopyQueue> {
        Arc::clone(&self.copy_queue)
    }
}

impl Download for Scaling<'_> {
    /// The empty frame that the picture moves into.
    type Permit = LoanedFrame;

    fn admit(&self) -> Result<LoanedFrame, DropReason> {
        self.copy_queue.copy_queue.lend().ok_or(DropReason::InFlight)
    }

    fn submit(
        &self,
        mut permit: LoanedFrame,
        frame: &mut Frame,
        slot: ClaimedSlot,
        meta: PublishMeta,
    ) {
        permit.take_from(frame);
        let HostCopyQueue { copy_queue, submitter } = self.copy_queue;
        if copy_queue.submit(Job { frame: permit, slot, meta, plan: self.plan }) {
            submitter.enter(copy_queue);
        }
    }

    fn in_flight(&self) -> u32 {
        self.copy_queue.copy_queue.in_flight()
    }
}

/// Pictures that fill their slots as they are.
impl Download for HostCopyQueue {
    type Permit = LoanedFrame;

    fn admit(&self) -> Result<LoanedFrame, DropReason> {
        self.scaling(None).admit()
    }

    fn submit(&self, permit: LoanedFrame, frame: &mut Frame, slot: ClaimedSlot, meta: PublishMeta) {
        self.scaling(None).submit(permit, frame, slot, meta);
    }

    fn in_flight(&self) -> u32 {
        self.scaling(None).in_flight()
    }
}
