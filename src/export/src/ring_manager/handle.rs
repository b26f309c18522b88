//! A tap's handle of the ring manager: what it asks for, and what comes back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crossbeam_queue::ArrayQueue;
use vas_config::Config;
use vas_frame::{CameraId, Demanded, Geometry, RingWriter};
use vas_media::Fraction;
use vas_pipeline::{Demand, InputStats, Wakeup};

use crate::cuda::{Completions, CudaCopyQueue};
use crate::download::{Account, Memory, MemoryInUse};
use crate::engines::ToPrepare;
use crate::panics::Panics;
use crate::stats::ExportStats;
use crate::vaapi::NodeCopyQueue;

/// What the ring manager sends to a tap.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A ring of the geometry that was last asked for.
    Ring { writer: RingWriter, first_frame_id: u64 },
    /// No ring is available yet; the ring manager keeps trying.
    Refused,
    /// The delivered ring is gone: its files were removed.
    Revoked,
}

/// The answer to a request for a GPU's engine.
#[derive(Debug)]
pub(crate) enum EngineAnswer {
    /// A copy queue in it.
    CopyQueue(CudaCopyQueue),
    /// A copy queue in the engine of a render node.
    OfNode(NodeCopyQueue),
    /// No engine is available yet; the ring manager keeps trying.
    None,
    /// There is none until everything releases the GPU. A tap with further frames of it asks again.
    NotYet,
}

/// A tap's queues to the ring manager and back.
#[derive(Clone, Debug)]
pub(crate) struct RingHandle {
    camera: CameraId,
    shared: Arc<Shared>,
    pub(super) deliveries: Arc<ArrayQueue<Delivery>>,
    /// The latest answer on the engine that was asked for.
    pub(super) answers: Arc<ArrayQueue<EngineAnswer>>,
    pub(super) in_use: Arc<MemoryInUse>,
    pub(super) completions: Arc<Completions>,
    pub(super) stats: Arc<ExportStats>,
    pub(super) demand: Arc<Demand>,
    /// What readers request, if that has changed.
    pub(super) demanded: Arc<ArrayQueue<Demanded>>,
}

impl RingHandle {
    pub(super) fn new(
        camera: CameraId,
        shared: Arc<Shared>,
        input_stats: &Arc<InputStats>,
        demand: Arc<Demand>,
        panics: Arc<Panics>,
    ) -> Self {
        let stats = Arc::new(ExportStats::default());
        let account =
            Account::new(camera.clone(), Arc::clone(input_stats), Arc::clone(&stats), panics);
        Self {
            camera,
            shared,
            // At most a ring, a revocation and a refusal wait.
            deliveries: Arc::new(ArrayQueue::new(4)),
            answers: Arc::new(ArrayQueue::new(1)),
            in_use: Arc::default(),
            completions: Arc::new(Completions::new(account)),
            stats,
            demand,
            demanded: Arc::new(ArrayQueue::new(1)),
        }
    }

    pub(super) fn camera(&self) -> &CameraId {
        &self.camera
    }

    pub(crate) fn receive(&self) -> Option<Delivery> {
        self.deliveries.pop()
    }

    /// What readers request from now on, if that has changed.
    pub(crate) fn demanded(&self) -> Option<Demanded> {
        self.demanded.pop()
    }

    /// Where engines count the camera's frames.
    pub(crate) fn account(&self) -> Account {
        self.completions.account().clone()
    }

    /// See [`Panics::trip`].
    pub(crate) fn trip(&self, place: &'static str) {
        self.completions.account().trip(place);
    }

    pub(crate) fn stats(&self) -> Arc<ExportStats> {
        Arc::clone(&self.stats)
    }

    /// The answer to a request for an engine.
    pub(crate) fn receive_engine(&self) -> Option<EngineAnswer> {
        self.answers.pop()
    }

    /// Records which memory frames come from.
    pub(crate) fn in_use(&self) -> Arc<MemoryInUse> {
        Arc::clone(&self.in_use)
    }

    /// Asks for a ring that is filled from this memory, `converted` or as it is; the answer comes through
    /// [`receive`](Self::receive). `false`: ask again later.
    pub(crate) fn ask(
        &self,
        geometry: Geometry,
        fps: Option<Fraction>,
        from: Memory,
        converted: bool,
    ) -> bool {
        self.request(Request::Ring { camera: self.camera.clone(), geometry, fps, from, converted })
    }

    /// Asks for the engine of a GPU's memory, and for the open ring to be pinned there; the answer comes through
    /// [`receive_engine`](Self::receive_engine). `false`: ask again later.
    pub(crate) fn ask_engine(&self, memory: Memory, ring: Option<ToPrepare>) -> bool {
        self.request(Request::Engine { camera: self.camera.clone(), memory, ring })
    }

    fn request(&self, request: Request) -> bool {
        let asked = self.shared.requests.push(request);
        self.shared.wake();
        asked.is_ok()
    }
}

/// A request to the ring manager.
#[derive(Debug)]
pub(super) enum Request {
    Camera(RingHandle),
    Leave(CameraId),
    Ring {
        camera: CameraId,
        geometry: Geometry,
        fps: Option<Fraction>,
        from: Memory,
        converted: bool,
    },
    Engine {
        camera: CameraId,
        memory: Memory,
        ring: Option<ToPrepare>,
    },
}

/// Holds waiting requests.
#[derive(Debug)]
pub(super) struct Shared {
    /// Cameras that come or go, pushed by the one thread that starts and ends them: it must not
    /// wait for a ring manager that waits for memory or a driver.
    changes: Mutex<VecDeque<Request>>,
    /// Requests of taps.
    requests: ArrayQueue<Request>,
    /// Set once the thread has started; it runs until it is asked to stop.
    wakeup: OnceLock<Arc<Wakeup>>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            changes: Mutex::default(),
            requests: ArrayQueue::new(Config::MAX_CAMERAS),
            wakeup: OnceLock::new(),
        }
    }

    /// Sets what wakes the thread that serves these requests.
    pub(super) fn is_woken_by(&self, wakeup: &Arc<Wakeup>) {
        let _ = self.wakeup.set(Arc::clone(wakeup));
        // For what came before.
        self.wake();
    }

    fn wake(&self) {
        if let Some(wakeup) = self.wakeup.get() {
            wakeup.signal();
        }
    }

    /// Queues the arrival or departure of a camera.
    pub(super) fn push_change(&self, change: Request) {
        self.changes().push_back(change);
        self.wake();
    }

    pub(super) fn next_request(&self) -> Option<Request> {
        self.requests.pop()
    }

    pub(super) fn changes(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_change(&self) -> Option<Request> {
        self.changes().pop_front()
    }
}
