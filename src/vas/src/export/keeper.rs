//! The thread that opens rings and looks after them, so that no decode thread ever waits for memory.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use vas_frame::{
    CameraExport, CameraId, Demanded, ExportError, ExportRoot, Geometry, Notifier, OpenRing,
    RingOptions, RingPages, RingWriter, monotonic_ns,
};
use vas_media::{Fraction, GpuError};

use super::cuda::{CudaLane, Told};
use super::download::{Account, Memory};
use super::engines::{Engines, NoEngine};
use super::facts::{DownloadFacts, ExportFacts};
use super::limits::MAX_IN_FLIGHT;
use super::ways::InUse;
use crate::config::Export;
use crate::pipeline::{Demand, Shown};

/// How often files are looked after, and how soon something that was refused is tried again.
const HOUSEKEEPING_NS: u64 = 1_000_000_000;
/// How often readers are looked for, where there are none and where there are some. Asking costs about half
/// a microsecond a camera; the first is a part of what a reader waits for its first frame.
const ARRIVALS_NS: u64 = 50_000_000;
const DEPARTURES_NS: u64 = 250_000_000;
const RETRY_NS: u64 = 5_000_000_000;
const HELD_RETRY_NS: u64 = 1_000_000_000;
/// Wishes and new cameras that may wait for the keeper.
const MAX_WISHES: usize = 4096;

/// What the keeper sends to a tap.
#[derive(Debug)]
pub(super) enum Delivery {
    /// A ring of the geometry that was asked for last.
    Ring { writer: RingWriter, first_frame_id: u64 },
    /// There is none for now; the keeper goes on trying.
    Refused,
    /// The ring that was delivered is gone: somebody removed its files.
    Revoked,
}

/// What becomes of asking for a GPU's engine.
#[derive(Debug)]
pub(super) enum Answer {
    /// The way into it.
    Lane(CudaLane),
    /// There is none for now; the keeper goes on trying.
    None,
    /// There is none before all have let go of the GPU. Who has further frames of it asks again.
    NotYet,
}

/// A tap's way to the keeper and back.
#[derive(Clone, Debug)]
pub(super) struct Door {
    camera: CameraId,
    shared: Arc<Shared>,
    deliveries: Arc<ArrayQueue<Delivery>>,
    /// The latest word on the engine that was asked for.
    answers: Arc<ArrayQueue<Answer>>,
    in_use: Arc<InUse>,
    told: Arc<Told>,
    facts: Arc<ExportFacts>,
    demand: Arc<Demand>,
    /// What readers want, if that has changed.
    demanded: Arc<ArrayQueue<Demanded>>,
    thread: std::thread::Thread,
}

impl Door {
    pub(super) fn receive(&self) -> Option<Delivery> {
        self.deliveries.pop()
    }

    /// What readers want from now on, if that has changed.
    pub(super) fn demanded(&self) -> Option<Demanded> {
        self.demanded.pop()
    }

    /// Where engines account for the camera's frames.
    pub(super) fn account(&self) -> Account {
        self.told.account().clone()
    }

    pub(super) fn facts(&self) -> Arc<ExportFacts> {
        Arc::clone(&self.facts)
    }

    /// What became of asking for an engine.
    pub(super) fn receive_engine(&self) -> Option<Answer> {
        self.answers.pop()
    }

    /// Shows which memory frames come from.
    pub(super) fn in_use(&self) -> Arc<InUse> {
        Arc::clone(&self.in_use)
    }

    /// Asks for a ring that is filled from this memory; the answer comes by [`receive`](Self::receive).
    /// `false`: ask again later.
    pub(super) fn ask(&self, geometry: Geometry, fps: Option<Fraction>, from: Memory) -> bool {
        self.wish(Wish::Ring { camera: self.camera.clone(), geometry, fps, from })
    }

    /// Asks for the engine of a GPU, and for the ring that is open to be pinned there; the answer comes by
    /// [`receive_engine`](Self::receive_engine). `false`: ask again later.
    pub(super) fn ask_engine(&self, device: usize, pages: Option<RingPages>) -> bool {
        self.wish(Wish::Engine { camera: self.camera.clone(), device, pages })
    }

    fn wish(&self, wish: Wish) -> bool {
        let asked = self.shared.wishes.push(wish);
        self.thread.unpark();
        asked.is_ok()
    }
}

#[derive(Debug)]
enum Wish {
    Camera(Door),
    Leave(CameraId),
    Ring { camera: CameraId, geometry: Geometry, fps: Option<Fraction>, from: Memory },
    Engine { camera: CameraId, device: usize, pages: Option<RingPages> },
}

#[derive(Debug)]
struct Shared {
    wishes: ArrayQueue<Wish>,
    stop: AtomicBool,
}

/// The thread. Stopping it removes the cameras' files.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(
        root: Arc<ExportRoot>,
        notifier: Arc<Notifier>,
        config: &Export,
    ) -> io::Result<Self> {
        let shared =
            Arc::new(Shared { wishes: ArrayQueue::new(MAX_WISHES), stop: AtomicBool::new(false) });
        let mut work = Work {
            root,
            notifier,
            hold: config.hold,
            slots: config.slots,
            cameras: HashMap::new(),
            engines: Engines::default(),
        };
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("vas-opener".into())
            .spawn(move || work.run(&of_thread))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes a camera on: its directory is made at once, its ring when its tap asks.
    pub(super) fn add(&self, camera: CameraId, shown: &Arc<Shown>, demand: Arc<Demand>) -> Door {
        let thread = self.thread.as_ref().expect("there until drop").thread().clone();
        let facts = Arc::new(ExportFacts::default());
        let account = Account::new(camera.clone(), Arc::clone(shown), Arc::clone(&facts));
        let door = Door {
            camera,
            shared: Arc::clone(&self.shared),
            // A ring, a word that it is gone and one that there is none: never more wait.
            deliveries: Arc::new(ArrayQueue::new(4)),
            answers: Arc::new(ArrayQueue::new(1)),
            in_use: Arc::default(),
            told: Arc::new(Told::new(account)),
            facts,
            demand,
            demanded: Arc::new(ArrayQueue::new(1)),
            thread,
        };
        self.wish(Wish::Camera(door.clone()));
        door
    }

    /// Lets a camera go, and removes its files. Its tap is gone, and asks for nothing more.
    pub(super) fn remove(&self, camera: CameraId) {
        self.wish(Wish::Leave(camera));
    }

    fn wish(&self, mut wish: Wish) {
        let thread = self.thread.as_ref().expect("there until drop").thread();
        // Full only if thousands of cameras come or go at once: then the keeper is not far behind.
        while let Err(again) = self.shared.wishes.push(wish) {
            wish = again;
            thread.unpark();
            std::thread::yield_now();
        }
        thread.unpark();
    }

    pub(super) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the opener thread panicked: export files may be left behind");
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the thread works with.
struct Work {
    root: Arc<ExportRoot>,
    notifier: Arc<Notifier>,
    hold: Duration,
    slots: Option<u32>,
    cameras: HashMap<CameraId, Kept>,
    engines: Engines,
}

struct Kept {
    door: Door,
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
        let mut housekeeping_ns = monotonic_ns() + HOUSEKEEPING_NS;
        while !shared.stop.load(Ordering::Acquire) {
            while let Some(wish) = shared.wishes.pop() {
                self.accept(wish);
            }
            let now_ns = monotonic_ns();
            if now_ns >= housekeeping_ns {
                self.housekeep();
                housekeeping_ns = now_ns + HOUSEKEEPING_NS;
            }
            let mut next_ns = housekeeping_ns;
            for (camera, kept) in &mut self.cameras {
                kept.advance_engine(camera, &mut self.engines);
                kept.advance(
                    camera,
                    &self.root,
                    &self.notifier,
                    (self.hold, self.slots),
                    &self.engines,
                );
                kept.look_for_readers();
                next_ns = next_ns.min(kept.next_ns());
            }
            let wait = next_ns.saturating_sub(monotonic_ns());
            std::thread::park_timeout(Duration::from_nanos(wait));
        }
        // While the rings are still there: what is in flight is finished, and then they are unpinned.
        self.engines.stop();
    }

    fn accept(&mut self, wish: Wish) {
        match wish {
            Wish::Camera(door) => {
                let kept = Kept {
                    export: None,
                    wanted: None,
                    engine_wanted: None,
                    claim_at_ns: 0,
                    look_at_ns: 0,
                    demanded: Demanded::Nothing,
                    door,
                };
                self.cameras.insert(kept.door.camera.clone(), kept);
            }
            Wish::Leave(camera) => {
                self.cameras.remove(&camera);
            }
            Wish::Ring { camera, geometry, fps, from } => {
                if let Some(kept) = self.cameras.get_mut(&camera) {
                    kept.wanted = Some(Wanted { geometry, fps, from, at_ns: 0 });
                }
            }
            Wish::Engine { camera, device, pages } => {
                if let Some(kept) = self.cameras.get_mut(&camera) {
                    kept.engine_wanted = Some(EngineWanted { device, pages, at_ns: 0 });
                }
            }
        }
    }

    fn housekeep(&mut self) {
        // If that fails, each camera's claim will say why.
        if !self.root.is_there()
            && let Ok(root) = self.root.reopen()
        {
            self.root = Arc::new(root);
            self.cameras.values_mut().for_each(|kept| kept.claim_at_ns = 0);
        }
        self.engines.housekeep();
        for (camera, kept) in &mut self.cameras {
            kept.show_download(&self.engines);
            let Some(export) = &mut kept.export else { continue };
            if export.housekeep() {
                let retired_bytes = export.retired_bytes();
                kept.door.facts.set(|facts| facts.retired_bytes = retired_bytes);
                continue;
            }
            tracing::warn!(%camera, "somebody removed the export's files: exporting again");
            kept.export = None;
            kept.claim_at_ns = 0;
            kept.send(Delivery::Revoked);
        }
    }
}

impl Kept {
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

    /// Looks whether readers came or went. They leave nothing but a lock, so there is nobody to tell us.
    fn look_for_readers(&mut self) {
        let now_ns = monotonic_ns();
        let Some(export) = &self.export else { return };
        if now_ns < self.look_at_ns {
            return;
        }
        let demanded = export.demanded();
        let here = demanded != Demanded::Nothing;
        if demanded != self.demanded {
            self.demanded = demanded.clone();
            self.door.facts.set(|facts| facts.demanded = demanded.clone());
            // Before the word that somebody is there: nobody is counted who wants nothing.
            let _ = self.door.demanded.force_push(demanded);
        }
        let demand = &self.door.demand;
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
        let answer = match engines.lane(wanted.device, Arc::clone(&self.door.told)) {
            Ok(lane) => {
                if let Some(pages) = wanted.pages {
                    engines.prepare(wanted.device, pages);
                }
                Answer::Lane(lane)
            }
            // The engines tell of it.
            Err(NoEngine::Ending | NoEngine::Device(GpuError::DeviceLost { .. })) => Answer::NotYet,
            Err(error) => {
                let words = format!("GPU {}: {error}", wanted.device);
                let download = DownloadFacts { engine: "none", why: Some(words) };
                if self.door.facts.get().download != download {
                    tracing::error!(%camera, "no download from GPU {}: {error}", wanted.device);
                }
                self.door.facts.set(|facts| facts.download = download);
                // Without the pages: if the ring goes meanwhile, so may its memory.
                let at_ns = now_ns + RETRY_NS;
                self.engine_wanted =
                    Some(EngineWanted { device: wanted.device, pages: None, at_ns });
                Answer::None
            }
        };
        let _ = self.door.answers.force_push(answer);
    }

    fn show_download(&self, engines: &Engines) {
        // What is said of an engine that can't be had stays until it can.
        if self.engine_wanted.is_some() {
            return;
        }
        let download = match self.door.in_use.device() {
            None => DownloadFacts::default(),
            Some(device) => {
                let status = engines.status(device);
                let staged = self.door.told.staged().then_some(status.not_pinned).flatten();
                match (status.lost, staged) {
                    (Some(why), _) => {
                        let words = format!("GPU {device} is lost: {why}");
                        DownloadFacts { engine: "none", why: Some(words) }
                    }
                    (None, Some(why)) => {
                        DownloadFacts { engine: "cuda", why: Some(format!("staged: {why}")) }
                    }
                    (None, None) => DownloadFacts { engine: "cuda", why: None },
                }
            }
        };
        self.door.facts.set(|facts| facts.download = download);
    }

    fn advance(
        &mut self,
        camera: &CameraId,
        root: &Arc<ExportRoot>,
        notifier: &Arc<Notifier>,
        (hold, slots): (Duration, Option<u32>),
        engines: &Engines,
    ) {
        let now_ns = monotonic_ns();
        if self.export.is_none() && now_ns >= self.claim_at_ns {
            match CameraExport::claim(root, camera, notifier) {
                Ok(export) => self.export = Some(export),
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
        self.door.facts.set(|facts| {
            facts.state = "open";
            facts.detail.clear();
            facts.slots = options.slots;
            facts.ring_bytes = bytes;
            facts.lease_ms = lease_ms;
        });
    }

    /// Says why there is no export, in the log only when the words are new.
    fn refuse(&self, camera: &CameraId, words: &str) {
        if self.door.facts.get().detail != words {
            tracing::error!(%camera, "runs without export: {words}");
        }
        self.door.facts.set(|facts| {
            facts.state = "refused";
            facts.detail = words.to_owned();
            facts.slots = 0;
            facts.ring_bytes = 0;
        });
    }

    /// A tap that does not look (its camera delivers nothing) finds the latest when it does.
    fn send(&self, delivery: Delivery) {
        let _ = self.door.deliveries.force_push(delivery);
    }
}
