//! A tap's handle of the ring manager: what it asks for, and what comes back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use crossbeam_queue::ArrayQueue;
use vas_config::Config;
use vas_frame::{CameraId, Demanded, Geometry, RingPages, RingWriter};
use vas_media::Fraction;
use vas_pipeline::{Demand, InputStats};

use crate::cuda::{Completions, CudaCopyQueue};
use crate::download::{Account, Memory, MemoryInUse};
use crate::panics::Panics;
use crate::stats::ExportStats;

/// What the ring manager sends to a tap.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A ring of the geometry that was asked for last.
    Ring { writer: RingWriter, first_frame_id: u64 },
    /// There is none for now; the ring manager goes on trying.
    Refused,
    /// The ring that was delivered is gone: somebody removed its files.
    Revoked,
}

/// What becomes of asking for a GPU's engine.
#[derive(Debug)]
pub(crate) enum EngineAnswer {
    /// The way into it.
    CopyQueue(CudaCopyQueue),
    /// There is none for now; the ring manager goes on trying.
    None,
    /// There is none before all have let go of the GPU. Who has further frames of it asks again.
    NotYet,
}

/// A tap's way to the ring manager and back.
#[derive(Clone, Debug)]
pub(crate) struct RingHandle {
    camera: CameraId,
    shared: Arc<Shared>,
    pub(super) deliveries: Arc<ArrayQueue<Delivery>>,
    /// The latest word on the engine that was asked for.
    pub(super) answers: Arc<ArrayQueue<EngineAnswer>>,
    pub(super) in_use: Arc<MemoryInUse>,
    pub(super) completions: Arc<Completions>,
    pub(super) stats: Arc<ExportStats>,
    pub(super) demand: Arc<Demand>,
    /// What readers want, if that has changed.
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
            // A ring, a word that it is gone and one that there is none: never more wait.
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

    /// What readers want from now on, if that has changed.
    pub(crate) fn demanded(&self) -> Option<Demanded> {
        self.demanded.pop()
    }

    /// Where engines account for the camera's frames.
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

    /// What became of asking for an engine.
    pub(crate) fn receive_engine(&self) -> Option<EngineAnswer> {
        self.answers.pop()
    }

    /// Shows which memory frames come from.
    pub(crate) fn in_use(&self) -> Arc<MemoryInUse> {
        Arc::clone(&self.in_use)
    }

    /// Asks for a ring that is filled from this memory; the answer comes by [`receive`](Self::receive).
    /// `false`: ask again later.
    pub(crate) fn ask(&self, geometry: Geometry, fps: Option<Fraction>, from: Memory) -> bool {
        self.request(Request::Ring { camera: self.camera.clone(), geometry, fps, from })
    }

    /// Asks for the engine of a GPU, and for the ring that is open to be pinned there; the answer comes by
    /// [`receive_engine`](Self::receive_engine). `false`: ask again later.
    pub(crate) fn ask_engine(&self, device: usize, pages: Option<RingPages>) -> bool {
        self.request(Request::Engine { camera: self.camera.clone(), device, pages })
    }

    fn request(&self, request: Request) -> bool {
        let asked = self.shared.requests.push(request);
        self.shared.wake();
        asked.is_ok()
    }
}

/// What is asked of the ring manager.
#[derive(Debug)]
pub(super) enum Request {
    Camera(RingHandle),
    Leave(CameraId),
    Ring { camera: CameraId, geometry: Geometry, fps: Option<Fraction>, from: Memory },
    Engine { camera: CameraId, device: usize, pages: Option<RingPages> },
}

/// Where requests wait.
#[derive(Debug)]
pub(super) struct Shared {
    /// Cameras that come or go, told by the one thread that starts and ends them: it must not wait for a ring manager
    /// that waits for memory or a driver.
    changes: Mutex<VecDeque<Request>>,
    /// What taps ask for.
    requests: ArrayQueue<Request>,
    /// Once it has been started; it ends when it is told to.
    thread: OnceLock<Thread>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            changes: Mutex::default(),
            requests: ArrayQueue::new(Config::MAX_CAMERAS),
            thread: OnceLock::new(),
        }
    }

    /// The thread that serves what waits here, to be woken.
    pub(super) fn is_run_by(&self, thread: &Thread) {
        let _ = self.thread.set(thread.clone());
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// A camera comes or goes.
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
