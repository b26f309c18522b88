//! A camera's queue in the host's engine: frames in order, one copied at a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_queue::ArrayQueue;
use vas_frame::nv12::{Picture, Plane, StoreKind};
use vas_frame::{CameraId, ClaimedSlot, PublishMeta};
use vas_media::{Frame, Nv12Converter, PixelLayout};
use vas_scale::{ColorInfo, Plan, Request, Scaler, Source, Target};
use vas_status::DropReason;

use super::download::{Account, MAX_IN_FLIGHT};
use super::frame_pool::{FramePool, LoanedFrame};
use super::vaapi::{Mapped, NodeState};

/// Frames copied before the worker moves on to another camera.
const TURN: usize = 4;

/// A frame to be copied, and its slot.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) frame: LoanedFrame,
    pub(super) slot: ClaimedSlot,
    pub(super) meta: PublishMeta,
    /// How the picture is scaled into the slot; `None`: it is not.
    pub(super) plan: Option<Plan>,
}

/// One camera's jobs, shared by its tap and the pool.
pub(super) struct CopyQueue {
    account: Account,
    jobs: ArrayQueue<Job>,
    frames: Arc<FramePool>,
    /// Whether the copy queue is in the pool's queue or with a worker; never with two.
    scheduled: AtomicBool,
    /// Locked only by the worker that holds the copy queue.
    tools: Mutex<Tools>,
    /// The render node that pictures are mapped from; `None`: they are in the processor's memory.
    node: Option<Arc<NodeState>>,
    /// Frames that were submitted and have no outcome yet.
    unsettled: AtomicU32,
    /// Set when the queue was given up while its worker hangs: outcomes are counted, and nothing is published any more.
    abandoned: Mutex<bool>,
}

/// Why a frame was not published.
enum Unpublished {
    Failed(String),
    /// Its render node is lost.
    Lost,
}

impl From<String> for Unpublished {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// What pictures need that are not copied as they are. Made for the first of them, and again after a change.
#[derive(Default)]
struct Tools {
    converter: Option<Nv12Converter>,
    scaler: Option<Scaler>,
    /// A picture of a format that the scaler does not read, as NV12.
    converted: Vec<u8>,
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
        Self::with(account, None)
    }

    /// For pictures that are in surfaces of this render node.
    pub(super) fn of_node(account: Account, node: Arc<NodeState>) -> Self {
        Self::with(account, Some(node))
    }

    fn with(account: Account, node: Option<Arc<NodeState>>) -> Self {
        Self {
            account,
            jobs: ArrayQueue::new(MAX_IN_FLIGHT as usize),
            frames: FramePool::new(None),
            scheduled: AtomicBool::new(false),
            tools: Mutex::default(),
            node,
            unsettled: AtomicU32::new(0),
            abandoned: Mutex::new(false),
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
        self.unsettled.fetch_add(1, Ordering::Relaxed);
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

    /// Gives up all waiting jobs, after a panic or the engine's end. `true`: there is more; put the copy queue back
    /// into the pool's queue.
    pub(super) fn give_up(&self) -> bool {
        let is_lost = self.node.as_ref().is_some_and(|node| node.is_lost());
        let why = if is_lost { DropReason::GpuLost } else { DropReason::CopyFailed };
        while let Some(Job { mut frame, slot, .. }) = self.jobs.pop() {
            self.settle(|| self.account.dropped(why));
            drop(slot);
            // Perhaps on the decode thread.
            frame.release_apart();
        }
        self.rest()
    }

    fn run(&self, job: Job) {
        let _busy = self.node.as_ref().map(|node| node.busy());
        // `frame` is dropped at the end: the picture is read until then.
        let Job { frame, mut slot, meta, plan } = job;
        let copied = self.account.catch("copy", || {
            let mapped = self.map(&frame)?;
            let picture = mapped.as_deref().unwrap_or(&frame);
            match plan {
                None => self.copy(picture, &mut slot)?,
                Some(plan) => self.tools().scale(&plan, picture, &mut slot)?,
            }
            self.account.trip("publication");
            self.settle(|| {
                let published_ns = slot.publish(&meta);
                self.account.published(&meta, published_ns);
            });
            Ok::<_, Unpublished>(())
        });
        match copied {
            Some(Ok(())) => {}
            Some(Err(Unpublished::Failed(reason))) => self.settle(|| self.account.failed(&reason)),
            Some(Err(Unpublished::Lost)) => {
                self.settle(|| self.account.dropped(DropReason::GpuLost));
            }
            None => {
                self.settle(|| self.account.dropped(DropReason::CopyFailed));
                *self.tools() = Tools::default();
            }
        }
    }

    /// The outcome of a frame, unless the queue was abandoned: the frame is then counted already.
    fn settle(&self, outcome: impl FnOnce()) {
        // Nobody holds it for longer than an outcome takes.
        let abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        if !*abandoned {
            self.unsettled.fetch_sub(1, Ordering::Relaxed);
            outcome();
        }
    }

    /// Gives up all frames without an outcome, when the worker hangs. If it ever goes on, it publishes none of them.
    pub(super) fn abandon(&self) {
        let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        *abandoned = true;
        for _ in 0..self.unsettled.swap(0, Ordering::Relaxed) {
            self.account.dropped(DropReason::GpuLost);
        }
    }

    /// The picture of a surface in the processor's memory; `None` for pictures that are there.
    fn map(&self, frame: &Frame) -> Result<Option<Mapped<'_>>, Unpublished> {
        let Some(node) = &self.node else { return Ok(None) };
        if node.is_lost() {
            return Err(Unpublished::Lost);
        }
        node.map(frame).map(Some).map_err(|why| match node.is_lost() {
            true => Unpublished::Lost,
            false => Unpublished::Failed(why),
        })
    }

    fn copy(&self, frame: &Frame, slot: &mut ClaimedSlot) -> Result<(), String> {
        let plane = |i| Plane { data: frame.plane(i), stride: frame.stride(i) };
        let picture = match frame.layout() {
            PixelLayout::Yuv420p => Picture::Yuv420p { y: plane(0), u: plane(1), v: plane(2) },
            PixelLayout::Yuv420p10 => Picture::Yuv420p10 { y: plane(0), u: plane(1), v: plane(2) },
            PixelLayout::Nv12 => Picture::Nv12 { y: plane(0), uv: plane(1) },
            PixelLayout::P010 => {
                // The filter, at its own size, applies the 10-bit rule alone.
                let size = (frame.width(), frame.height());
                let plan = Plan::new(size, Request::default(), ColorInfo::default());
                let plan = plan.map_err(|error| error.to_string())?;
                return self.tools().scale(&plan, frame, slot);
            }
            _ => return self.convert(frame, slot),
        };
        slot.write(&picture, StoreKind::Auto).map_err(|e| e.to_string())
    }

    fn convert(&self, frame: &Frame, slot: &mut ClaimedSlot) -> Result<(), String> {
        let stride = slot.geometry().stride() as usize;
        convert(&mut self.tools().converter, frame, slot.planes_mut(), stride)
    }

    fn tools(&self) -> MutexGuard<'_, Tools> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Converts a picture of any format to NV12.
fn convert(
    converter: &mut Option<Nv12Converter>,
    frame: &Frame,
    (y, uv): (&mut [u8], &mut [u8]),
    stride: usize,
) -> Result<(), String> {
    let converter = converter.get_or_insert_with(Nv12Converter::new);
    converter.convert(frame, y, uv, stride).map_err(|error| error.to_string())
}

impl Tools {
    /// Scales the picture into the slot, in one pass where the scaler reads its format.
    fn scale(&mut self, plan: &Plan, frame: &Frame, slot: &mut ClaimedSlot) -> Result<(), String> {
        let Self { converter, scaler, converted } = self;
        let plane = |i| vas_scale::Plane { data: frame.plane(i), stride: frame.stride(i) };
        let source = match frame.layout() {
            PixelLayout::Yuv420p => Source::Yuv420p { y: plane(0), u: plane(1), v: plane(2) },
            PixelLayout::Yuv420p10 => Source::Yuv420p10 { y: plane(0), u: plane(1), v: plane(2) },
            PixelLayout::Nv12 => Source::Nv12 { y: plane(0), uv: plane(1) },
            PixelLayout::P010 => Source::P016 { y: plane(0), uv: plane(1) },
            _ => {
                let (width, height) = (frame.width() as usize, frame.height() as usize);
                let stride = width.next_multiple_of(2);
                converted.resize(stride * (height + height.div_ceil(2)), 0);
                let planes = converted.split_at_mut(stride * height);
                convert(converter, frame, planes, stride)?;
                let (y, uv) = converted.split_at(stride * height);
                let plane = |data| vas_scale::Plane { data, stride };
                Source::Nv12 { y: plane(y), uv: plane(uv) }
            }
        };
        scaler.take_if(|scaler| scaler.plan() != plan);
        let scaler = scaler.get_or_insert_with(|| Scaler::new(plan));
        let stride = slot.geometry().stride() as usize;
        let (luma, chroma) = slot.planes_mut();
        let target = Target { luma, chroma, stride };
        scaler.run(&source, target, vas_scale::StoreKind::Auto).map_err(|error| error.to_string())
    }
}
