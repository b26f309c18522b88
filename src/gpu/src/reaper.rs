//! The reaper: waits for copies in order, publishes, and releases the surfaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use vas_cuda::CudaError;
use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_threads::EventCount;

use crate::cuda::{Event, Gpu, Staging, Stream};
use crate::guard::Guard;
use crate::job::{Job, Landed, Surface};
use crate::outcome::Failure;
use crate::rings::Ring;

/// What the engine's thread is done with. All of it comes this way, so that a camera's frames
/// finish in order and surfaces are released on one thread.
pub(crate) enum Arrival<S> {
    /// A frame whose copy is queued, at least in part.
    Copying {
        job: Job<S>,
        tools: Tools,
        /// Whether all of it was queued, with `tools.done` recorded after it.
        queued: Result<(), Failure>,
    },
    /// A frame for which nothing was queued.
    Refused { job: Job<S>, failure: Failure },
    /// Rings of a lost device, or that another device takes over. All frames before have landed by
    /// then, and none follows.
    Unpin(Vec<Ring>),
}

/// What a copy needs beside the frame; reused.
pub(crate) struct Tools {
    /// Recorded after the copy.
    pub(crate) done: Event,
    /// The destination of the picture when its ring is not pinned.
    pub(crate) staging: Option<Staging>,
}

/// Frames that wait for the reaper, and tools that wait for reuse.
pub(crate) struct Landing<S> {
    arrivals: ArrayQueue<Arrival<S>>,
    pub(crate) events: ArrayQueue<Event>,
    pub(crate) stagings: ArrayQueue<Staging>,
    event_count: EventCount,
    ended: AtomicBool,
    /// Whether rings wait here to be unpinned.
    unpinning: AtomicBool,
}

impl<S: Surface> Landing<S> {
    pub(crate) fn new(permits: u32) -> Self {
        let permits = permits.max(1) as usize;
        Self {
            // Only one batch of rings at a time, beside the frames.
            arrivals: ArrayQueue::new(permits + 1),
            events: ArrayQueue::new(permits),
            stagings: ArrayQueue::new(permits),
            event_count: EventCount::default(),
            ended: AtomicBool::new(false),
            unpinning: AtomicBool::new(false),
        }
    }

    pub(crate) fn add(&self, arrival: Arrival<S>) {
        // Each has a permit, and the queue has room for all permits.
        let added = self.arrivals.push(arrival);
        debug_assert!(added.is_ok());
        self.event_count.wake_one();
    }

    /// Reserves the room for rings to be unpinned. `false`: ask again later.
    pub(crate) fn begins_to_unpin(&self) -> bool {
        !self.unpinning.swap(true, Ordering::SeqCst)
    }

    /// Keeps tools for the next copies.
    pub(crate) fn keep(&self, tools: Tools) {
        // At most one for each permit, so all fit.
        let _kept = self.events.push(tools.done);
        if let Some(staging) = tools.staging {
            let _kept = self.stagings.push(staging);
        }
    }

    fn sleep(&self) {
        self.event_count
            .sleep(0, || !self.arrivals.is_empty() || self.ended.load(Ordering::SeqCst));
    }

    /// Nothing more will be added: the reaper ends when all has landed.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.event_count.wake_one();
    }

    /// Gives up all frames that have not landed, after a panic of the reaper.
    pub(crate) fn give_up_all(&self) {
        while let Some(arrival) = self.arrivals.pop() {
            if let Arrival::Copying { job, .. } | Arrival::Refused { job, .. } = arrival {
                job.give_up(Failure::Stopped);
            }
        }
    }
}

/// Its name in reports of panics.
const PART: &str = "reaper";

/// The reaper's thread.
pub(crate) struct Reaper<S> {
    pub(crate) gpu: Arc<Gpu>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) landing: Arc<Landing<S>>,
    pub(crate) guard: Arc<Guard>,
}

impl<S: Surface> Reaper<S> {
    pub(crate) fn run(self) {
        self.landing.event_count.enrol(0);
        // Without its context each wait fails and reports that.
        if let Err(error) = self.gpu.bind() {
            tracing::error!("the reaper has no context: {error}");
        }
        loop {
            // Read first: anything added before the end is then seen.
            let ended = self.landing.ended.load(Ordering::SeqCst);
            match self.landing.arrivals.pop() {
                Some(Arrival::Copying { job, tools, queued }) => self.land(job, tools, queued),
                Some(Arrival::Refused { job, failure }) => {
                    job.settle(Err(failure), PART, &self.guard);
                }
                Some(Arrival::Unpin(rings)) => {
                    self.guard.over(PART, || drop(rings));
                    self.landing.unpinning.store(false, Ordering::SeqCst);
                }
                None if ended => return,
                None => self.landing.sleep(),
            }
        }
    }

    fn land(&self, mut job: Job<S>, tools: Tools, queued: Result<(), Failure>) {
        let landed = self.guard.over(PART, || self.wait_for(&mut job, &tools, queued));
        let landed = landed.unwrap_or_else(|| {
            // Where it stopped is unknown: running copies must end first.
            self.guard.over(PART, || self.stream.settle());
            Err(Failure::Internal)
        });
        self.landing.keep(tools);
        job.settle(landed, PART, &self.guard);
    }

    /// Waits for the copy to end and ensures that the slot holds the picture.
    fn wait_for(
        &self,
        job: &mut Job<S>,
        tools: &Tools,
        queued: Result<(), Failure>,
    ) -> Result<Landed, Failure> {
        if let Err(failure) = queued.and_then(|()| Ok(tools.done.synchronize()?)) {
            // Part of the copy may still run: neither slot nor surface may be released before it
            // has ended.
            self.stream.settle();
            return Err(match failure {
                Failure::Cuda(error) => self.failure(error),
                other => other,
            });
        }
        if let Some(staging) = &tools.staging {
            write(job, staging)?;
        }
        Ok(Landed { staged: tools.staging.is_some() })
    }

    fn failure(&self, error: CudaError) -> Failure {
        self.gpu.lost().map_or(Failure::Cuda(error), |_| Failure::DeviceLost)
    }
}

/// Copies a staged picture into its slot.
fn write<S>(job: &mut Job<S>, staging: &Staging) -> Result<(), Failure> {
    let geometry = *job.slot.geometry();
    // SAFETY: the copy into it has ended, and the next one takes it from `Landing::stagings`.
    let bytes = unsafe { staging.bytes() };
    let (luma, chroma) = bytes.split_at(geometry.uv_offset() as usize);
    let stride = geometry.stride() as usize;
    let plane = |data| Plane { data, stride };
    let picture = Picture::Nv12 { y: plane(luma), uv: plane(chroma) };
    job.slot.write(&picture, StoreKind::Auto).map_err(|short| {
        Failure::Size(geometry.width(), geometry.height(), short.width, short.height)
    })
}
