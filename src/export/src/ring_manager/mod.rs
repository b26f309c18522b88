//! The thread that opens and maintains rings, so that no decode thread ever waits for memory.

mod camera;
mod handle;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use vas_config::Export;
use vas_frame::{CameraId, monotonic_ns};
use vas_pipeline::{Demand, Exported as _, InputStats};
use vas_threads::{OwnedThread, StopRequest};

use super::engines::Engines;
use super::panics::Panics;
use super::resources::Resources;

use camera::{AFTER_PANIC_NS, EngineWanted, ManagedCamera, Wanted};

pub(super) use handle::{Delivery, EngineAnswer, RingHandle};
use handle::{Request, Shared};

/// How often files are checked.
const HOUSEKEEPING_NS: u64 = 1_000_000_000;

/// The thread. Stopping it removes the cameras' files.
#[derive(Debug)]
pub(super) struct RingManager {
    shared: Arc<Shared>,
    config: Export,
    panics: Arc<Panics>,
    thread: Option<OwnedThread>,
}

impl RingManager {
    /// Without its thread; cameras that are added wait for it.
    pub(super) fn new(config: &Export, panics: Arc<Panics>) -> Self {
        Self { shared: Arc::new(Shared::new()), config: config.clone(), panics, thread: None }
    }

    /// Starts the thread, if it does not run.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start(&mut self) -> io::Result<()> {
        if self.thread.is_some() {
            return Ok(());
        }
        let mut work = Work {
            resources: Resources::new(&self.config),
            hold: self.config.hold,
            slots: self.config.slots,
            cameras: HashMap::new(),
            engines: Engines::new(Arc::clone(&self.panics)),
            panics: Arc::clone(&self.panics),
            housekeeping_ns: monotonic_ns() + HOUSEKEEPING_NS,
        };
        let of_thread = Arc::clone(&self.shared);
        let run = move |stop: StopRequest| work.run(&of_thread, &stop);
        let thread = OwnedThread::spawn("vas-rings", run)?;
        self.shared.is_run_by(thread.thread());
        self.thread = Some(thread);
        Ok(())
    }

    /// Whether its thread runs.
    pub(super) fn runs(&self) -> bool {
        self.thread.is_some()
    }

    /// Adds a camera: its directory is made at once, its ring when its tap asks.
    pub(super) fn add(
        &self,
        camera: CameraId,
        input_stats: &Arc<InputStats>,
        demand: Arc<Demand>,
    ) -> RingHandle {
        let shared = Arc::clone(&self.shared);
        let handle = RingHandle::new(camera, shared, input_stats, demand, Arc::clone(&self.panics));
        self.send(Request::Camera(handle.clone()));
        handle
    }

    /// Removes a camera and its files. Its tap is gone and asks for nothing more.
    pub(super) fn remove(&self, camera: CameraId) {
        let mut changes = self.shared.changes();
        // A camera that was never added leaves nothing, so do not queue its removal while there is
        // no thread.
        let waits = |request: &Request| matches!(request, Request::Camera(handle) if *handle.camera() == camera);
        if let Some(at) = changes.iter().rposition(waits) {
            changes.remove(at);
            return;
        }
        drop(changes);
        self.send(Request::Leave(camera));
    }

    fn send(&self, change: Request) {
        self.shared.push_change(change);
    }

    /// Records the reason for all cameras that wait for the thread.
    pub(super) fn refuse_waiting(&self, words: &str) {
        for request in self.shared.changes().iter() {
            if let Request::Camera(handle) = request {
                handle.stats().refuse(words);
            }
        }
    }

    pub(super) fn stop(self) {
        drop(self);
    }
}

/// What the thread works with.
struct Work {
    resources: Resources,
    hold: Duration,
    slots: Option<u32>,
    cameras: HashMap<CameraId, ManagedCamera>,
    engines: Engines,
    panics: Arc<Panics>,
    housekeeping_ns: u64,
}

impl Work {
    fn run(&mut self, shared: &Shared, stop: &StopRequest) {
        let panics = Arc::clone(&self.panics);
        while !stop.is_made() {
            let next_ns = panics.catch("ring manager", None, || self.turn(shared));
            // Soon after a panic, but not at once: it may recur.
            let next_ns = next_ns.unwrap_or_else(|| monotonic_ns() + AFTER_PANIC_NS);
            let wait = next_ns.saturating_sub(monotonic_ns());
            std::thread::park_timeout(Duration::from_nanos(wait));
        }
        // While the rings still exist: copies in flight finish, then the rings are unpinned.
        panics.catch("ring manager", None, || self.engines.stop());
    }

    /// Does all that is due; returns when there is more.
    fn turn(&mut self, shared: &Shared) -> u64 {
        loop {
            // A tap's request is handled after all that was sent before it, its camera's arrival
            // above all.
            let request = shared.next_request();
            while let Some(change) = shared.next_change() {
                self.accept(change);
            }
            match request {
                Some(request) => self.accept(request),
                None => break,
            }
        }
        let now_ns = monotonic_ns();
        if now_ns >= self.housekeeping_ns {
            self.housekeeping_ns = now_ns + HOUSEKEEPING_NS;
            self.housekeep();
        }
        if self.resources.open(now_ns) {
            self.cameras.values_mut().for_each(ManagedCamera::claim_now);
        }
        let mut next_ns = self.housekeeping_ns.min(self.resources.next_ns());
        let Self { resources, hold, slots, cameras, engines, panics, .. } = self;
        for (camera, managed) in cameras {
            let done = panics.catch("ring manager", Some(camera), || {
                managed.advance_engine(camera, engines);
                managed.advance(camera, resources, (*hold, *slots), engines);
                managed.look_for_readers();
            });
            if done.is_none() {
                managed.start_over(camera, panics);
            }
            next_ns = next_ns.min(managed.next_ns());
        }
        next_ns
    }

    fn accept(&mut self, request: Request) {
        match request {
            Request::Camera(handle) => {
                self.cameras.insert(handle.camera().clone(), ManagedCamera::new(handle));
            }
            Request::Leave(camera) => {
                self.cameras.remove(&camera);
            }
            Request::Ring { camera, geometry, fps, from } => {
                if let Some(managed) = self.cameras.get_mut(&camera) {
                    managed.want(Wanted { geometry, fps, from, at_ns: 0 });
                }
            }
            Request::Engine { camera, device, pages } => {
                if let Some(managed) = self.cameras.get_mut(&camera) {
                    managed.want_engine(EngineWanted { device, pages, at_ns: 0 });
                }
            }
        }
    }

    fn housekeep(&mut self) {
        self.resources.housekeep();
        self.engines.housekeep();
        let Self { cameras, engines, panics, .. } = self;
        for (camera, managed) in cameras {
            let done =
                panics.catch("ring manager", Some(camera), || managed.housekeep(camera, engines));
            if done.is_none() {
                managed.start_over(camera, panics);
            }
        }
    }
}
