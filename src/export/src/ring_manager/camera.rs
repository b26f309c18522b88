//! One camera's export directory, ring, readers and engine, as the ring manager's thread looks after them.

use std::sync::Arc;
use std::time::Duration;

use vas_frame::{
    CameraExport, CameraId, Demanded, ExportError, FrameRate, Geometry, OpenRing, RingOptions,
    RingPages, monotonic_ns,
};
use vas_media::{Fraction, GpuError};
use vas_pipeline::Exported as _;
use vas_status::{DownloadEngine, ExportState};

use super::handle::{Delivery, EngineAnswer, RingHandle};
use crate::download::Memory;
use crate::engines::{Engines, NoEngine};
use crate::limits::MAX_IN_FLIGHT;
use crate::panics::Panics;
use crate::resources::Resources;
use crate::stats::DownloadStats;

/// How soon something that was refused is tried again, and what another process holds.
const RETRY_NS: u64 = 5_000_000_000;
const HELD_RETRY_NS: u64 = 1_000_000_000;
/// How often to look for readers, where there are none and where there are some. Asking costs about half
/// a microsecond a camera; the first is a part of what a reader waits for its first frame.
const ARRIVALS_NS: u64 = 50_000_000;
const DEPARTURES_NS: u64 = 250_000_000;
/// When work goes on after a panic.
pub(super) const AFTER_PANIC_NS: u64 = 1_000_000_000;
/// Readers learn of a gap when no frame was published for so long.
const QUIET: Duration = Duration::from_millis(500);

/// A camera whose rings are looked after.
pub(super) struct ManagedCamera {
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

/// The ring that is wanted, and when to try for it.
pub(super) struct Wanted {
    pub(super) geometry: Geometry,
    pub(super) fps: Option<Fraction>,
    pub(super) from: Memory,
    pub(super) at_ns: u64,
}

/// The engine that is wanted, and when to try for it.
pub(super) struct EngineWanted {
    pub(super) device: usize,
    pub(super) pages: Option<RingPages>,
    pub(super) at_ns: u64,
}

impl ManagedCamera {
    pub(super) fn new(handle: RingHandle) -> Self {
        Self {
            handle,
            export: None,
            wanted: None,
            engine_wanted: None,
            claim_at_ns: 0,
            look_at_ns: 0,
            demanded: Demanded::Nothing,
        }
    }

    pub(super) fn want(&mut self, ring: Wanted) {
        self.wanted = Some(ring);
    }

    pub(super) fn want_engine(&mut self, engine: EngineWanted) {
        self.engine_wanted = Some(engine);
    }

    /// What its directory waited for is there.
    pub(super) fn claim_now(&mut self) {
        self.claim_at_ns = 0;
    }

    /// When there is something to do here, as far as is known.
    pub(super) fn next_ns(&self) -> u64 {
        let engine = self.engine_wanted.as_ref().map_or(u64::MAX, |wanted| wanted.at_ns);
        let ring = match (&self.export, &self.wanted) {
            (None, _) => self.claim_at_ns,
            (Some(_), Some(wanted)) => wanted.at_ns.min(self.look_at_ns),
            (Some(_), None) => self.look_at_ns,
        };
        ring.min(engine)
    }

    /// Shows how the export does, and lets go of one whose files somebody removed.
    pub(super) fn housekeep(&mut self, camera: &CameraId, engines: &Engines) {
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
    pub(super) fn start_over(&mut self, camera: &CameraId, panics: &Panics) {
        let export = self.export.take();
        panics.catch("ring manager", Some(camera), || drop(export));
        (self.wanted, self.engine_wanted) = (None, None);
        self.claim_at_ns = monotonic_ns() + AFTER_PANIC_NS;
        self.refuse(camera, "internal error in the ring manager of the frame path; it starts over");
        self.send(Delivery::Revoked);
        let _ = self.handle.answers.force_push(EngineAnswer::NotYet);
    }

    /// Looks whether readers came or went. They leave nothing but a lock, so there is nobody to tell us.
    pub(super) fn look_for_readers(&mut self) {
        let now_ns = monotonic_ns();
        let Some(export) = &self.export else { return };
        if now_ns < self.look_at_ns {
            return;
        }
        // Whatever holds frames up: taps and engines may be stuck themselves.
        export.pause_if_quiet(now_ns, QUIET);
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
    pub(super) fn advance_engine(&mut self, camera: &CameraId, engines: &mut Engines) {
        let now_ns = monotonic_ns();
        let Some(wanted) = self.engine_wanted.take_if(|wanted| now_ns >= wanted.at_ns) else {
            return;
        };
        let answer = match engines.copy_queue(wanted.device, Arc::clone(&self.handle.completions)) {
            Ok(copy_queue) => {
                if let Some(pages) = wanted.pages {
                    engines.prepare(wanted.device, pages);
                }
                EngineAnswer::CopyQueue(copy_queue)
            }
            // The engines tell of it.
            Err(NoEngine::Ending | NoEngine::Device(GpuError::DeviceLost { .. })) => {
                EngineAnswer::NotYet
            }
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
                EngineAnswer::None
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

    pub(super) fn advance(
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
        let rate = wanted.fps.map(|fps| FrameRate { num: fps.num(), den: fps.den() });
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
        let lease_ms = u64::try_from(options.lease.as_millis()).unwrap_or(u64::MAX);
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
