//! The download engines of render nodes: a thread for each maps surfaces that VA-API decoded, and copies or scales them
//! into their slots with the host's code.
//!
//! VA-API has no asynchronous copy. The thread waits for the driver; the driver may hang. So nothing waits for the
//! thread: a node whose thread is in one call for too long is lost, its frames are given up, and a stop leaves the thread
//! behind.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use vas_frame::{ClaimedSlot, PublishMeta, monotonic_ns};
use vas_media::{Frame, NodeHealth, VaapiDevice};
use vas_scale::Plan;
use vas_status::DropReason;
use vas_threads::{OwnedThread, StopRequest};

use super::copy_queue::CopyQueue;
use super::download::{Account, Download};
use super::frame_pool::LoanedFrame;
use super::host::{HostCopyQueue, Scaling, Shared, Submitter};
use super::panics::Panics;

/// How long the thread may take for one frame, or to end.
const WITHIN: Duration = Duration::from_secs(5);

/// All engines in use, by the number of the node.
#[derive(Debug)]
pub(super) struct NodeEngines {
    running: BTreeMap<u32, NodeEngine>,
    /// Why the last engine of a node ended, if the node was lost.
    lost: BTreeMap<u32, String>,
    /// Those whose threads were asked to end.
    leaving: Vec<NodeEngine>,
    panics: Arc<Panics>,
}

#[derive(Debug)]
struct NodeEngine {
    state: Arc<NodeState>,
    shared: Arc<Shared>,
    thread: OwnedThread,
}

/// What the thread of a node, its cameras' copy queues and the ring manager share.
pub(super) struct NodeState {
    minor: u32,
    /// Upgraded on the thread alone: whoever drops it last waits for the driver.
    device: Weak<VaapiDevice>,
    health: Arc<NodeHealth>,
    /// The surface that the thread has mapped.
    mapped: Mutex<Frame>,
    /// Since when the thread works on a frame; 0: it does not.
    busy_since_ns: AtomicU64,
    lost: AtomicBool,
    /// The thread does not return from a call.
    hangs: AtomicBool,
}

impl fmt::Debug for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeState").field("minor", &self.minor).finish_non_exhaustive()
    }
}

/// A camera's copy queue in the engine of one node.
#[derive(Debug)]
pub(super) struct NodeCopyQueue {
    state: Arc<NodeState>,
    copy_queue: Arc<CopyQueue>,
    to_thread: HostCopyQueue,
}

impl NodeEngines {
    pub(super) fn new(panics: Arc<Panics>) -> Self {
        Self { running: BTreeMap::new(), lost: BTreeMap::new(), leaving: Vec::new(), panics }
    }

    /// A camera's copy queue in a node's engine, which is started if this is its first camera; `None` while the node is
    /// not open, or lost.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn copy_queue(
        &mut self,
        minor: u32,
        account: Account,
    ) -> io::Result<Option<NodeCopyQueue>> {
        self.let_go();
        if !self.running.contains_key(&minor) {
            let found = VaapiDevice::find_health(minor);
            let Some((device, health)) = found.filter(|(_, health)| health.known().is_ok()) else {
                return Ok(None);
            };
            self.running.insert(minor, NodeEngine::start(device, health, &self.panics)?);
            self.lost.remove(&minor);
        }
        let NodeEngine { state, shared, .. } = &self.running[&minor];
        let copy_queue = Arc::new(CopyQueue::of_node(account, Arc::clone(state)));
        let submitter = Submitter::to(Arc::clone(shared));
        let to_thread = HostCopyQueue::new(Arc::clone(&copy_queue), submitter);
        Ok(Some(NodeCopyQueue { state: Arc::clone(state), copy_queue, to_thread }))
    }

    /// Whether any engine runs, or is to end.
    pub(super) fn any(&self) -> bool {
        !self.running.is_empty() || !self.leaving.is_empty()
    }

    /// Looks for nodes that are lost or hang, and for engines without a camera. They are let go, without waiting for
    /// their threads.
    pub(super) fn let_go(&mut self) {
        let now_ns = monotonic_ns();
        for (minor, engine) in &self.running {
            if let Some(why) = engine.state.look(now_ns) {
                tracing::error!("no download from renderD{minor} any more: {why}");
                self.lost.insert(*minor, why);
            }
        }
        self.leaving.retain(|engine| !engine.thread.has_ended());
        for engine in &self.leaving {
            // A decoder may have found the node lost first: whether the thread hangs is to be seen, too.
            engine.state.look(now_ns);
        }
        let running = std::mem::take(&mut self.running).into_iter();
        let (over, running): (BTreeMap<_, _>, _) =
            running.partition(|(_, engine)| engine.is_over());
        self.running = running;
        for engine in over.into_values() {
            // It ends by itself.
            engine.thread.begin_stop();
            self.leaving.push(engine);
        }
    }

    /// Why a node is lost.
    pub(super) fn why_lost(&self, minor: u32) -> Option<&str> {
        self.lost.get(&minor).map(String::as_str)
    }

    /// Finishes all copies and ends the threads, except for those that hang.
    pub(super) fn stop(&mut self) {
        let running = std::mem::take(&mut self.running).into_values();
        for engine in running.chain(std::mem::take(&mut self.leaving)) {
            let within = if engine.state.hangs() { Duration::ZERO } else { WITHIN };
            if !engine.thread.stop_within(within) {
                let minor = engine.state.minor;
                tracing::error!("the driver of renderD{minor} hangs: its thread is left behind");
            }
        }
    }
}

impl NodeEngine {
    fn start(
        device: Weak<VaapiDevice>,
        health: Arc<NodeHealth>,
        panics: &Arc<Panics>,
    ) -> io::Result<Self> {
        let minor = health.node().minor;
        let words = health.node().to_string();
        let state = Arc::new(NodeState {
            minor,
            device: Weak::clone(&device),
            health,
            mapped: Mutex::new(Frame::new()),
            busy_since_ns: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
        });
        let shared = Arc::new(Shared::new(Arc::clone(panics)));
        let of_thread = Arc::clone(&shared);
        let work = move |stop: StopRequest| {
            // Keeps it open until the thread ends. If it has just been closed, each frame fails.
            let _open = device.upgrade();
            of_thread.work(0, &stop);
            of_thread.close();
        };
        let thread = OwnedThread::spawn(format!("vas-va-{minor}"), work)?;
        tracing::info!("downloading from {words}");
        Ok(Self { state, shared, thread })
    }

    /// Whether it takes no frames any more, or has no camera: the thread and this have it alone.
    fn is_over(&self) -> bool {
        self.state.is_lost() || Arc::strong_count(&self.shared) <= 2
    }
}

impl NodeState {
    /// Notes that the thread works on a frame.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.busy_since_ns.store(monotonic_ns(), Ordering::Relaxed);
        Busy(self)
    }

    /// Whether pictures of the node can't be read any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether the thread does not return from a call.
    fn hangs(&self) -> bool {
        self.hangs.load(Ordering::Relaxed)
    }

    /// Maps a surface, on the node's thread.
    pub(super) fn map(&self, frame: &Frame) -> Result<Mapped<'_>, String> {
        let device = self.device.upgrade().ok_or("the render node is closed")?;
        if device.known_health().is_err() {
            self.lost.store(true, Ordering::Relaxed);
            return Err("the render node is lost".into());
        }
        if frame.render_node() != Some(self.minor) {
            return Err("the picture is in no surface of this render node".into());
        }
        let mut mapped = Mapped(self.mapped.lock().unwrap_or_else(PoisonError::into_inner));
        mapped.0.map_from(frame).map_err(|error| {
            if device.health().is_err() {
                self.lost.store(true, Ordering::Relaxed);
            }
            format!("the surface can't be read: {error}")
        })?;
        Ok(mapped)
    }

    /// Why the node is lost, if it is.
    fn look(&self, now_ns: u64) -> Option<String> {
        let since_ns = self.busy_since_ns.load(Ordering::Relaxed);
        let hangs = since_ns != 0 && now_ns.saturating_sub(since_ns) > WITHIN.as_nanos() as u64;
        if hangs && !self.hangs.swap(true, Ordering::Relaxed) {
            self.lost.store(true, Ordering::Relaxed);
            return Some(VaapiDevice::hangs(self.health.node(), WITHIN).to_string());
        }
        let lost = self.health.known().err()?;
        // A decoder may have found it lost.
        self.lost.store(true, Ordering::Relaxed);
        Some(lost.to_string())
    }
}

/// The thread works on a frame until this is dropped.
pub(super) struct Busy<'a>(&'a NodeState);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy_since_ns.store(0, Ordering::Relaxed);
    }
}

/// A mapped surface, unmapped when this is dropped.
pub(super) struct Mapped<'a>(MutexGuard<'a, Frame>);

impl Deref for Mapped<'_> {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        &self.0
    }
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// Pictures that fill their slots as they are.
impl Download for NodeCopyQueue {
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

impl NodeCopyQueue {
    /// The number of the node.
    pub(super) fn minor(&self) -> u32 {
        self.state.minor
    }

    /// Whether the engine has stopped taking frames.
    pub(super) fn is_over(&self) -> bool {
        self.state.is_lost()
    }

    /// For pictures that are scaled by this plan, or not at all.
    pub(super) fn scaling(&self, plan: Option<Plan>) -> Scaling<'_> {
        self.to_thread.scaling(plan)
    }

    /// Gives up what is in flight, if the engine's thread hangs. Returns whether it did.
    pub(super) fn abandon_if_hanging(&self) -> bool {
        if self.state.hangs() {
            self.copy_queue.abandon();
        }
        self.state.hangs()
    }
}

impl Drop for NodeCopyQueue {
    fn drop(&mut self) {
        self.abandon_if_hanging();
    }
}
