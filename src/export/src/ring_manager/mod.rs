//! The thread that opens rings and looks after them, so that no decode thread ever waits for memory.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use vas_frame::{
    CameraExport, CameraId, Demanded, ExportError, Geometry, OpenRing, RingOptions, RingPages,
    RingWriter, monotonic_ns,
};
use vas_media::{Fraction, GpuError};

use super::cuda::{Completions, CudaCopyQueue};
use super::download::{Account, Memory};
use super::engines::{Engines, NoEngine};
use super::limits::MAX_IN_FLIGHT;
use super::panics::Panics;
use super::resources::Resources;
use super::routes::RouteInUse;
use super::stats::{DownloadStats, ExportStats};
use vas_config::Export;
use vas_pipeline::Exported as _;
use vas_pipeline::{Demand, InputStats};
use vas_status::{DownloadEngine, ExportState};

/// How often files are looked after, and how soon something that was refused is tried again.
const HOUSEKEEPING_NS: u64 = 1_000_000_000;
/// How often readers are looked for, where there are none and where there are some. Asking costs about half
/// a microsecond a camera; the first is a part of what a reader waits for its first frame.
const ARRIVALS_NS: u64 = 50_000_000;
const DEPARTURES_NS: u64 = 250_000_000;
const RETRY_NS: u64 = 5_000_000_000;
const HELD_RETRY_NS: u64 = 1_000_000_000;
/// Readers are told of a gap when no frame was published for so long.
const QUIET_NS: u64 = 500_000_000;
/// When the ring manager goes on after a panic.
const AFTER_PANIC_NS: u64 = 1_000_000_000;
/// Wishes that may wait for the ring manager.
const MAX_REQUESTS: usize = 4096;

/// What the ring manager sends to a tap.
#[derive(Debug)]
pub(super) enum Delivery {
    /// A ring of the geometry that was asked for last.
    Ring { writer: RingWriter, first_frame_id: u64 },
    /// There is none for now; the ring manager goes on trying.
    Refused,
    /// The ring that was delivered is gone: somebody removed its files.
    Revoked,
}

/// What becomes of asking for a GPU's engine.
#[derive(Debug)]
pub(super) enum Answer {
    /// The way into it.
    CopyQueue(CudaCopyQueue),
    /// There is none for now; the ring manager goes on trying.
    None,
    /// There is none before all have let go of the GPU. Who has further frames of it asks again.
    NotYet,
}

/// A tap's way to the ring manager and back.
#[derive(Clone, Debug)]
pub(super) struct RingHandle {
    camera: CameraId,
    shared: Arc<Shared>,
    deliveries: Arc<ArrayQueue<Delivery>>,
    /// The latest word on the engine that was asked for.
    answers: Arc<ArrayQueue<Answer>>,
    in_use: Arc<RouteInUse>,
    completions: Arc<Completions>,
    stats: Arc<ExportStats>,
    demand: Arc<Demand>,
    /// What readers want, if that has changed.
    demanded: Arc<ArrayQueue<Demanded>>,
}

impl RingHandle {
    pub(super) fn receive(&self) -> Option<Delivery> {
        self.deliveries.pop()
    }

    /// What readers want from now on, if that has changed.
    pub(super) fn demanded(&self) -> Option<Demanded> {
        self.demanded.pop()
    }

    /// Where engines account for the camera's frames.
    pub(super) fn account(&self) -> Account {
        self.completions.account().clone()
    }

    /// See [`Panics::trip`].
    pub(super) fn trip(&self, permit: &'static str) {
        self.completions.account().trip(permit);
    }

    pub(super) fn stats(&self) -> Arc<ExportStats> {
        Arc::clone(&self.stats)
    }

    /// What became of asking for an engine.
    pub(super) fn receive_engine(&self) -> Option<Answer> {
        self.answers.pop()
    }

    /// Shows which memory frames come from.
    pub(super) fn in_use(&self) -> Arc<RouteInUse> {
        Arc::clone(&self.in_use)
    }

    /// Asks for a ring that is filled from this memory; the answer comes by [`receive`](Self::receive).
    /// `false`: ask again later.
    pub(super) fn ask(&self, geometry: Geometry, fps: Option<Fraction>, from: Memory) -> bool {
        self.request(Request::Ring { camera: self.camera.clone(), geometry, fps, from })
    }

    /// Asks for the engine of a GPU, and for the ring that is open to be pinned there; the answer comes by
    /// [`receive_engine`](Self::receive_engine). `false`: ask again later.
    pub(super) fn ask_engine(&self, device: usize, pages: Option<RingPages>) -> bool {
        self.request(Request::Engine { camera: self.camera.clone(), device, pages })
    }

    fn request(&self, request: Request) -> bool {
        let asked = self.shared.requests.push(request);
        self.shared.wake();
        asked.is_ok()
    }
}

#[derive(Debug)]
enum Request {
    Camera(RingHandle),
    Leave(CameraId),
    Ring { camera: CameraId, geometry: Geometry, fps: Option<Fraction>, from: Memory },
    Engine { camera: CameraId, device: usize, pages: Option<RingPages> },
}

#[derive(Debug)]
struct Shared {
    /// Cameras that come or go, told by the one thread that starts and ends them: it must not wait for a ring manager
    /// that waits for memory or a driver.
    changes: Mutex<VecDeque<Request>>,
    /// What taps ask for.
    requests: ArrayQueue<Request>,
    stop: AtomicBool,
    /// Once it has been started; it ends when it is told to.
    thread: OnceLock<Thread>,
}

impl Shared {
    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn changes(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_change(&self) -> Option<Request> {
        self.changes().pop_front()
    }
}

/// The thread. Stopping it removes the cameras' files.
#[derive(Debug)]
pub(super) struct RingManager {
    shared: Arc<Shared>,
    config: Export,
    panics: Arc<Panics>,
    thread: Option<JoinHandle<()>>,
}

impl RingManager {
    /// Without its thread; cameras that come wait for it.
    pub(super) fn new(config: &Export, panics: Arc<Panics>) -> Self {
        let shared = Shared {
            changes: Mutex::default(),
            requests: ArrayQueue::new(MAX_REQUESTS),
            stop: AtomicBool::new(false),
            thread: OnceLock::new(),
        };
        Self { shared: Arc::new(shared), config: config.clone(), panics, thread: None }
    }

    /// Starts the thread, if it is not there.
    ///
    /// # Errors
    /// When the system has none to give.
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
        let thread = std::thread::Builder::new()
            .name("vas-rings".into())
            .spawn(move || work.run(&of_thread))?;
        let _ = self.shared.thread.set(thread.thread().clone());
        self.thread = Some(thread);
        Ok(())
    }

    /// Whether its thread is there.
    pub(super) fn runs(&self) -> bool {
        self.thread.is_some()
    }

    /// Takes a camera on: its directory is made at once, its ring when its tap asks.
    pub(super) fn add(
        &self,
        camera: CameraId,
        input_stats: &Arc<InputStats>,
        demand: Arc<Demand>,
    ) -> RingHandle {
        let stats = Arc::new(ExportStats::default());
        let account = Account::new(
            camera.clone(),
            Arc::clone(input_stats),
            Arc::clone(&stats),
            Arc::clone(&self.panics),
        );
        let handle = RingHandle {
            camera,
            shared: Arc::clone(&self.shared),
            // A ring, a word that it is gone and one that there is none: never more wait.
            deliveries: Arc::new(ArrayQueue::new(4)),
            answers: Arc::new(ArrayQueue::new(1)),
            in_use: Arc::default(),
            completions: Arc::new(Completions::new(account)),
            stats,
            demand,
            demanded: Arc::new(ArrayQueue::new(1)),
        };
        self.tell(Request::Camera(handle.clone()));
        handle
    }

    /// Lets a camera go, and removes its files. Its tap is gone, and asks for nothing more.
    pub(super) fn remove(&self, camera: CameraId) {
        let mut changes = self.shared.changes();
        // One that was never taken on leaves nothing, and is not to be kept in mind while there is no thread.
        let waits = |request: &Request| matches!(request, Request::Camera(handle) if handle.camera == camera);
        if let Some(at) = changes.iter().rposition(waits) {
            changes.remove(at);
            return;
        }
        drop(changes);
        self.tell(Request::Leave(camera));
    }

    fn tell(&self, change: Request) {
        self.shared.changes().push_back(change);
        self.shared.wake();
    }

    /// Says of the cameras that wait for the thread why there is no export.
    pub(super) fn refuse_waiting(&self, words: &str) {
        for request in self.shared.changes().iter() {
            if let Request::Camera(handle) = request {
                handle.stats.refuse(words);
            }
        }
    }

    pub(super) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!(
                    "the ring manager thread panicked: export files may be left behind"
                );
            }
        }
    }
}

impl Drop for RingManager {
    fn drop(&mut self) {
        self.end();
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

struct ManagedCamera {
    handle: RingHandle,
    export: Option<CameraExport>,
    /// The ring that is wanted, and when to try for it.
    wanted: Option<Wanted>,
    engine_wanted: Option<EngineWanted>,
    claim_at_ns: u64,
    /// When to look for readers again, and what they wanted when we last did.
    look_at_ns: u64,
    demanded: Demanded,
}

struct Wanted {
    geometry: Geometry,
    fps: Option<Fraction>,
    from: Memory,
    at_ns: u64,
}

struct EngineWanted {
    device: usize,
    pages: Option<RingPages>,
    at_ns: u64,
}

impl Work {
    fn run(&mut self, shared: &Shared) {
        let panics = Arc::clone(&self.panics);
        while !shared.stop.load(Ordering::Acquire) {
            let next_ns = panics.catch("ring manager", None, || self.turn(shared));
            // After a panic soon, but not at once: it may not be the last one.
            let next_ns = next_ns.unwrap_or_else(|| monotonic_ns() + AFTER_PANIC_NS);
            let wait = next_ns.saturating_sub(monotonic_ns());
            std::thread::park_timeout(Duration::from_nanos(wait));
        }
        // While the rings are still there: what is in flight is finished, and then they are unpinned.
        panics.catch("ring manager", None, || self.engines.stop());
    }

    /// Does what there is to do; when there is more.
    fn turn(&mut self, shared: &Shared) -> u64 {
        loop {
            // A tap's request is looked at after all that was told before it: its camera, first of all.
            let request = shared.requests.pop();
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
            self.cameras.values_mut().for_each(|managed| managed.claim_at_ns = 0);
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
                managed.begin_anew(camera, panics);
            }
            next_ns = next_ns.min(managed.next_ns());
        }
        next_ns
    }

    fn accept(&mut self, request: Request) {
        match request {
            Request::Camera(handle) => {
                let managed = ManagedCamera {
                    export: None,
                    wanted: None,
                    engine_wanted: None,
                    claim_at_ns: 0,
                    look_at_ns: 0,
                    demanded: Demanded::Nothing,
                    handle,
                };
                self.cameras.insert(managed.handle.camera.clone(), managed);
            }
            Request::Leave(camera) => {
                self.cameras.remove(&camera);
            }
            Request::Ring { camera, geometry, fps, from } => {
                if let Some(managed) = self.cameras.get_mut(&camera) {
                    managed.wanted = Some(Wanted { geometry, fps, from, at_ns: 0 });
                }
            }
            Request::Engine { camera, device, pages } => {
                if let Some(managed) = self.cameras.get_mut(&camera) {
                    managed.engine_wanted = Some(EngineWanted { device, pages, at_ns: 0 });
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
                managed.begin_anew(camera, panics);
            }
        }
    }
}

impl ManagedCamera {
    /// When there is something to do here, as far as is known.
    fn next_ns(&self) -> u64 {
        let engine = self.engine_wanted.as_ref().map_or(u64::MAX, |wanted| wanted.at_ns);
        let ring = match (&self.export, &self.wanted) {
            (None, _) => self.claim_at_ns,
            (Some(_), Some(wanted)) => wanted.at_ns.min(self.look_at_ns),
            (Some(_), None) => self.look_at_ns,
        };
        ring.min(engine)
    }

    /// Shows how the export does, and lets go of one whose files somebody removed.
    fn housekeep(&mut self, camera: &CameraId, engines: &Engines) {
        self.show_download(engines);
        let Some(export) = &mut self.export else { return };
        if export.housekeep() {
            let retired_bytes = export.retired_bytes();
            self.handle.stats.set(|stats| stats.retired_bytes = retired_bytes);
            return;
        }
        tracing::warn!(%camera, "somebody removed the export's files: exporting again");
        self.export = None;
        self.claim_at_ns = 0;
        self.send(Delivery::Revoked);
    }

    /// After a panic: whatever was half done goes, and the tap asks again for what it needs.
    fn begin_anew(&mut self, camera: &CameraId, panics: &Panics) {
        let export = self.export.take();
        panics.catch("ring manager", Some(camera), || drop(export));
        (self.wanted, self.engine_wanted) = (None, None);
        self.claim_at_ns = monotonic_ns() + AFTER_PANIC_NS;
        self.refuse(camera, "internal error in the ring manager of the frame path; it begins anew");
        self.send(Delivery::Revoked);
        let _ = self.handle.answers.force_push(Answer::NotYet);
    }

    /// Looks whether readers came or went. They leave nothing but a lock, so there is nobody to tell us.
    fn look_for_readers(&mut self) {
        let now_ns = monotonic_ns();
        let Some(export) = &self.export else { return };
        if now_ns < self.look_at_ns {
            return;
        }
        // Whatever holds frames up: taps and engines may be stuck themselves.
        export.pause_if_quiet(now_ns, QUIET_NS);
        let demanded = export.demanded();
        let here = demanded != Demanded::Nothing;
        if demanded != self.demanded {
            self.demanded = demanded.clone();
            self.handle.stats.set(|stats| stats.demanded = demanded.clone());
            // Before the word that somebody is there: nobody is counted who wants nothing.
            let _ = self.handle.demanded.force_push(demanded);
        }
        let demand = &self.handle.demand;
        match (here, demand.since_ns().is_some()) {
            (true, false) => demand.begin(monotonic_ns()),
            (false, true) => demand.end(now_ns),
            _ => {}
        }
        self.look_at_ns = now_ns + if here { DEPARTURES_NS } else { ARRIVALS_NS };
    }

    /// Has the camera's GPU's engine ready, and its ring pinned there.
    fn advance_engine(&mut self, camera: &CameraId, engines: &mut Engines) {
        let now_ns = monotonic_ns();
        let Some(wanted) = self.engine_wanted.take_if(|wanted| now_ns >= wanted.at_ns) else {
            return;
        };
        let answer = match engines.copy_queue(wanted.device, Arc::clone(&self.handle.completions)) {
            Ok(copy_queue) => {
                if let Some(pages) = wanted.pages {
                    engines.prepare(wanted.device, pages);
                }
                Answer::CopyQueue(copy_queue)
            }
            // The engines tell of it.
            Err(NoEngine::Ending | NoEngine::Device(GpuError::DeviceLost { .. })) => Answer::NotYet,
            Err(error) => {
                let words = format!("GPU {}: {error}", wanted.device);
                let download = DownloadStats { engine: DownloadEngine::None, why: Some(words) };
                if self.handle.stats.get().download != download {
                    tracing::error!(%camera, "no download from GPU {}: {error}", wanted.device);
                }
                self.handle.stats.set(|stats| stats.download = download);
                // Without the pages: if the ring goes meanwhile, so may its memory.
                let at_ns = now_ns + RETRY_NS;
                self.engine_wanted =
                    Some(EngineWanted { device: wanted.device, pages: None, at_ns });
                Answer::None
            }
        };
        let _ = self.handle.answers.force_push(answer);
    }

    fn show_download(&self, engines: &Engines) {
        // What is said of an engine that can't be had stays until it can.
        if self.engine_wanted.is_some() {
            return;
        }
        let download = match self.handle.in_use.device() {
            None => DownloadStats::default(),
            Some(device) => {
                let status = engines.status(device);
                let staged =
                    self.handle.completions.staged().then_some(status.not_pinned).flatten();
                match (status.lost, staged) {
                    (Some(why), _) => {
                        let words = format!("GPU {device} is lost: {why}");
                        DownloadStats { engine: DownloadEngine::None, why: Some(words) }
                    }
                    (None, Some(why)) => DownloadStats {
                        engine: DownloadEngine::Cuda,
                        why: Some(format!("staged: {why}")),
                    },
                    (None, None) => DownloadStats { engine: DownloadEngine::Cuda, why: None },
                }
            }
        };
        self.handle.stats.set(|stats| stats.download = download);
    }

    fn advance(
        &mut self,
        camera: &CameraId,
        resources: &Resources,
        (hold, slots): (Duration, Option<u32>),
        engines: &Engines,
    ) {
        let now_ns = monotonic_ns();
        if self.export.is_none() && now_ns >= self.claim_at_ns {
            let (root, notifier) = match resources.parts() {
                Ok(parts) => parts,
                Err(why) => {
                    self.claim_at_ns = resources.next_ns();
                    self.refuse(camera, why);
                    return self.send(Delivery::Refused);
                }
            };
            match CameraExport::claim(root, camera, notifier) {
                Ok(export) => {
                    self.export = Some(export);
                    self.handle.stats.no_longer_refuse();
                }
                Err(error) => {
                    // Another writer may be about to end: this service's own, before a restart.
                    let held = matches!(error, ExportError::Held { .. });
                    self.claim_at_ns = now_ns + if held { HELD_RETRY_NS } else { RETRY_NS };
                    self.refuse(camera, &error.to_string());
                    self.send(Delivery::Refused);
                }
            }
        }
        let (Some(export), Some(wanted)) = (&mut self.export, &mut self.wanted) else { return };
        if now_ns < wanted.at_ns {
            return;
        }
        let rate = wanted.fps.map(|fps| (fps.num(), fps.den()));
        let options = RingOptions::choose(rate, hold, slots, MAX_IN_FLIGHT);
        self.handle.trip("ring");
        match export.open_ring(wanted.geometry, options) {
            Ok(OpenRing::Ready(writer)) => {
                let (first_frame_id, geometry) = (export.first_frame_id(), wanted.geometry);
                if let Memory::Cuda(device) = wanted.from {
                    engines.prepare(device, writer.pages());
                }
                self.wanted = None;
                self.opened(camera, geometry, options);
                self.send(Delivery::Ring { writer, first_frame_id });
            }
            Ok(OpenRing::NotBefore(at_ns)) => {
                // A retired ring's memory is free when no GPU has it pinned.
                engines.unpin_left();
                wanted.at_ns = at_ns;
            }
            Err(error) => {
                wanted.at_ns = now_ns + RETRY_NS;
                self.refuse(camera, &error.to_string());
                self.send(Delivery::Refused);
            }
        }
    }

    fn opened(&self, camera: &CameraId, geometry: Geometry, options: RingOptions) {
        let bytes = CameraExport::price(&geometry, options.slots);
        let lease_ms = options.lease_ns / 1_000_000;
        tracing::info!(
            %camera,
            "exporting {}x{}: {} slots, {:.1} MiB, frames promised for {lease_ms} ms",
            geometry.width(),
            geometry.height(),
            options.slots,
            bytes as f64 / f64::from(1 << 20),
        );
        self.handle.stats.set(|stats| {
            stats.state = ExportState::Open;
            stats.detail.clear();
            stats.slots = options.slots;
            stats.ring_bytes = bytes;
            stats.lease_ms = lease_ms;
        });
    }

    /// Says why there is no export, in the log only when the words are new.
    fn refuse(&self, camera: &CameraId, words: &str) {
        if self.handle.stats.refuse(words) {
            tracing::error!(%camera, "runs without export: {words}");
        }
    }

    /// A tap that does not look (its camera delivers nothing) finds the latest when it does.
    fn send(&self, delivery: Delivery) {
        let _ = self.handle.deliveries.force_push(delivery);
    }
}
