//! One camera's export directory, ring, readers and engine, as the ring manager's thread maintains
//! them.

use std::sync::Arc;
use std::time::Duration;

use vas_frame::{
    CameraExport, CameraId, Demanded, ExportError, FrameRate, Geometry, OpenRing, RingOptions,
    RingWriter, monotonic_ns,
};
use vas_media::{Fraction, GpuError};
use vas_pipeline::Exported as _;
use vas_status::{DownloadEngine, ExportState};

use super::checks::{Checks, Intervals, MOST_EVENTS};
use super::handle::{Delivery, EngineAnswer, RingHandle};
use super::schedule::Key;
use super::watches::{CameraWatches, Watches};
use crate::download::{MAX_IN_FLIGHT, Memory};
use crate::engines::{Engines, NoEngine, ToPrepare};
use crate::panics::Panics;
use crate::resources::Resources;
use crate::stats::DownloadStats;

/// How soon to retry what was refused or is held by another process.
const RETRY_NS: u64 = 5_000_000_000;
const HELD_RETRY_NS: u64 = 1_000_000_000;
/// How often to maintain a camera that has retired rings to free, or a GPU's engine to report on.
const MAINTAIN_NS: u64 = 1_000_000_000;
/// The delay after a panic.
pub(super) const AFTER_PANIC_NS: u64 = 1_000_000_000;
/// A gap is published after this long without a frame.
const QUIET: Duration = Duration::from_millis(500);

/// What the cameras of a ring manager share.
pub(super) struct Surroundings {
    pub(super) resources: Resources,
    pub(super) hold: Duration,
    pub(super) slots: Option<u32>,
    pub(super) engines: Engines,
}

/// A camera whose rings are maintained.
pub(super) struct ManagedCamera {
    handle: RingHandle,
    export: Option<CameraExport>,
    watches: CameraWatches,
    /// When to try again to watch, where that failed.
    watch_at_ns: u64,
    checks: Checks,
    /// The log says that there are too many events.
    noise_logged: bool,
    /// The ring that is wanted, and when to try for it.
    wanted: Option<Wanted>,
    engine_wanted: Option<EngineWanted>,
    claim_at_ns: u64,
    /// What readers requested last time.
    demanded: Demanded,
    /// When the newest frame may be too old to be current.
    quiet_at_ns: u64,
    housekeeping_ns: u64,
}

/// The ring that is wanted, and when to try for it.
pub(super) struct Wanted {
    pub(super) geometry: Geometry,
    pub(super) fps: Option<Fraction>,
    pub(super) from: Memory,
    pub(super) converted: bool,
    pub(super) at_ns: u64,
}

/// The engine that is wanted, and when to try for it.
pub(super) struct EngineWanted {
    pub(super) memory: Memory,
    pub(super) ring: Option<ToPrepare>,
    pub(super) at_ns: u64,
}

impl ManagedCamera {
    pub(super) fn new(handle: RingHandle, intervals: Intervals, key: Key) -> Self {
        Self {
            handle,
            export: None,
            watches: CameraWatches::default(),
            watch_at_ns: 0,
            checks: Checks::new(intervals, key),
            noise_logged: false,
            wanted: None,
            engine_wanted: None,
            claim_at_ns: 0,
            demanded: Demanded::Nothing,
            quiet_at_ns: u64::MAX,
            housekeeping_ns: u64::MAX,
        }
    }

    pub(super) fn want(&mut self, ring: Wanted) {
        self.wanted = Some(ring);
    }

    pub(super) fn want_engine(&mut self, engine: EngineWanted) {
        self.engine_wanted = Some(engine);
    }

    /// Retries at once: what its directory waited for is available.
    pub(super) fn claim_now(&mut self) {
        self.claim_at_ns = 0;
    }

    /// When there is next something to do here, as far as is known.
    pub(super) fn next_ns(&self) -> u64 {
        let engine = self.engine_wanted.as_ref().map_or(u64::MAX, |wanted| wanted.at_ns);
        if self.export.is_none() {
            return self.claim_at_ns.min(engine);
        }
        let ring = self.wanted.as_ref().map_or(u64::MAX, |wanted| wanted.at_ns);
        let clock = self.checks.next_ns().min(self.quiet_at_ns).min(self.housekeeping_ns);
        ring.min(engine).min(clock)
    }

    /// Does the work that is due. Returns false if the export's files were removed: claim the camera again.
    pub(super) fn work(
        &mut self,
        camera: &CameraId,
        key: Key,
        surroundings: &mut Surroundings,
        watches: &mut Watches,
    ) -> bool {
        let now_ns = monotonic_ns();
        if now_ns >= self.housekeeping_ns && !self.housekeep(camera, &surroundings.engines, watches)
        {
            return false;
        }
        self.advance_engine(camera, &mut surroundings.engines);
        let exported = self.export.is_some();
        self.advance(camera, surroundings);
        if self.export.is_some() && !exported {
            // Readers of an earlier writer may hold their locks already.
            self.checks.soon(now_ns);
            self.quiet_at_ns = now_ns;
            self.watch_at_ns = 0;
        }
        self.watch(key, watches);
        self.look_for_readers();
        self.look_for_quiet();
        self.schedule_housekeeping();
        true
    }

    /// `readers` was opened or closed.
    pub(super) fn readers_changed(&mut self, watches: &mut Watches, now_ns: u64) {
        if self.checks.event(now_ns) {
            return;
        }
        watches.unwatch_readers(&mut self.watches);
        self.report_polled();
        if !std::mem::replace(&mut self.noise_logged, true) {
            tracing::warn!(
                camera = %self.handle.camera(),
                "`readers` is opened or closed more than {MOST_EVENTS} times a second, so readers are polled for; \
                 a reader should keep it open: find the process with lsof (logged once for each camera)",
            );
        }
    }

    /// A file of the export was removed or renamed, perhaps by the export itself.
    pub(super) fn files_changed(&mut self, now_ns: u64) {
        let at_ns = now_ns.saturating_add(self.checks.intervals().removed);
        self.housekeeping_ns = self.housekeeping_ns.min(at_ns);
    }

    /// Checks readers and files at once, and readers often for a moment.
    pub(super) fn check_soon(&mut self, now_ns: u64) {
        self.checks.soon(now_ns);
        self.housekeeping_ns = now_ns;
    }

    /// Ends the watches, before the camera is dropped.
    pub(super) fn unwatch(&mut self, watches: &mut Watches) {
        watches.unwatch(&mut self.watches);
    }

    /// Tries to watch at the next turn.
    #[cfg(test)]
    pub(super) fn watch_now(&mut self) {
        self.watch_at_ns = 0;
    }

    /// Adds the watches that are missing.
    fn watch(&mut self, key: Key, watches: &mut Watches) {
        let Some(export) = &self.export else { return };
        let now_ns = monotonic_ns();
        if !self.checks.wants_watch(now_ns) || now_ns < self.watch_at_ns {
            return;
        }
        if watches.watch(key, export, &mut self.watches) {
            self.checks.watched(now_ns);
        } else {
            self.checks.not_watched();
            self.watch_at_ns = self.checks.slow_ns(now_ns);
        }
        self.report_polled();
    }

    fn report_polled(&self) {
        let polled = self.checks.polled();
        self.handle.stats.set(|stats| stats.polled = polled);
    }

    /// Updates the stats, and drops an export whose files were removed; `false`: it did.
    fn housekeep(&mut self, camera: &CameraId, engines: &Engines, watches: &mut Watches) -> bool {
        self.housekeeping_ns = u64::MAX;
        self.show_download(engines);
        let Some(export) = &mut self.export else { return true };
        if export.housekeep() {
            let retired_bytes = export.retired_bytes();
            self.handle.stats.set(|stats| stats.retired_bytes = retired_bytes);
            return true;
        }
        tracing::warn!(%camera, "the export's files were removed: exporting again");
        self.drop_export(watches);
        self.claim_at_ns = 0;
        self.send(Delivery::Revoked);
        false
    }

    fn drop_export(&mut self, watches: &mut Watches) {
        // First, so that its own removals are no events.
        watches.unwatch(&mut self.watches);
        self.checks.not_watched();
        self.export = None;
        (self.quiet_at_ns, self.housekeeping_ns) = (u64::MAX, u64::MAX);
    }

    /// Soon while something changes by itself, otherwise with the slow checks: removals are events.
    fn schedule_housekeeping(&mut self) {
        let Some(export) = &self.export else { return };
        let now_ns = monotonic_ns();
        let read = self.demanded != Demanded::Nothing;
        let changes =
            export.retired_bytes() > 0 || read && self.handle.in_use.get() != Memory::Host;
        let at_ns = match changes {
            true => now_ns + MAINTAIN_NS,
            false => self.checks.files_ns(now_ns),
        };
        self.housekeeping_ns = self.housekeeping_ns.min(at_ns);
    }

    /// After a panic: discards all that was half done; the tap asks again for what it needs.
    pub(super) fn start_over(&mut self, camera: &CameraId, watches: &mut Watches, panics: &Panics) {
        panics.catch("ring manager", Some(camera), || self.drop_export(watches));
        (self.wanted, self.engine_wanted) = (None, None);
        self.claim_at_ns = monotonic_ns() + AFTER_PANIC_NS;
        self.refuse(camera, "internal error in the ring manager of the frame path; it starts over");
        self.send(Delivery::Revoked);
        let _ = self.handle.answers.force_push(EngineAnswer::NotYet);
    }

    /// Checks whether readers came or went.
    fn look_for_readers(&mut self) {
        let now_ns = monotonic_ns();
        let Some(export) = &self.export else { return };
        if now_ns < self.checks.next_ns() {
            return;
        }
        let demanded = export.demanded();
        let here = demanded != Demanded::Nothing;
        if demanded != self.demanded {
            self.demanded = demanded.clone();
            self.handle.stats.set(|stats| stats.demanded = demanded.clone());
            // Before demand begins: no frame is counted as wanted before the rates are known.
            let _ = self.handle.demanded.force_push(demanded);
        }
        let demand = &self.handle.demand;
        match (here, demand.since_ns().is_some()) {
            (true, false) => {
                demand.begin(monotonic_ns());
                self.quiet_at_ns = now_ns;
            }
            (false, true) => demand.end(now_ns),
            _ => {}
        }
        self.checks.checked(now_ns, here);
    }

    /// Publishes a gap, whatever holds frames up: taps and engines may be stuck themselves.
    fn look_for_quiet(&mut self) {
        let now_ns = monotonic_ns();
        let Some(export) = &self.export else { return };
        if now_ns < self.quiet_at_ns {
            return;
        }
        // While there are readers, copying may go on at any time. A frame that is not for anybody
        // is a pause already.
        let read = self.demanded != Demanded::Nothing;
        self.quiet_at_ns = match export.pause_if_quiet(now_ns, QUIET) {
            Some(at_ns) => at_ns,
            None if read => now_ns.saturating_add(QUIET.as_nanos() as u64),
            None => u64::MAX,
        };
    }

    /// Gets the engine of the camera's GPU, and pins its ring there.
    fn advance_engine(&mut self, camera: &CameraId, engines: &mut Engines) {
        let now_ns = monotonic_ns();
        let Some(wanted) = self.engine_wanted.take_if(|wanted| now_ns >= wanted.at_ns) else {
            return;
        };
        let answer = match self.engine_of(wanted.memory, engines) {
            Ok(answer) => {
                if let (Memory::Cuda(device), Some(ring)) = (wanted.memory, wanted.ring) {
                    engines.prepare(device, ring);
                }
                answer
            }
            // The engines report it themselves.
            Err(NoEngine::Ending | NoEngine::Device(GpuError::DeviceLost { .. })) => {
                EngineAnswer::NotYet
            }
            Err(error) => {
                let from = wanted.memory;
                let words = format!("{from}: {error}");
                let download = DownloadStats { engine: DownloadEngine::None, why: Some(words) };
                if self.handle.stats.get().download != download {
                    tracing::error!(%camera, "no download from {from}: {error}");
                }
                self.handle.stats.set(|stats| stats.download = download);
                // Without the ring's pages: if it is dropped meanwhile, its memory can be freed.
                let at_ns = now_ns + RETRY_NS;
                self.engine_wanted = Some(EngineWanted { memory: from, ring: None, at_ns });
                EngineAnswer::None
            }
        };
        let _ = self.handle.answers.force_push(answer);
    }

    /// A copy queue in the engine that reads this memory.
    fn engine_of(&self, memory: Memory, engines: &mut Engines) -> Result<EngineAnswer, NoEngine> {
        match memory {
            Memory::Host => Ok(EngineAnswer::NotYet),
            Memory::Cuda(device) => {
                let completions = Arc::clone(&self.handle.completions);
                engines.copy_queue(device, completions).map(EngineAnswer::CopyQueue)
            }
            Memory::Vaapi(node) => {
                let copy_queue = engines.nodes().copy_queue(node, self.handle.account())?;
                Ok(copy_queue.map_or(EngineAnswer::NotYet, EngineAnswer::OfNode))
            }
        }
    }

    fn show_download(&self, engines: &Engines) {
        // The reason for a missing engine stays until there is one.
        if self.engine_wanted.is_some() {
            return;
        }
        let download = match self.handle.in_use.get() {
            Memory::Host => DownloadStats::default(),
            Memory::Vaapi(node) => match engines.why_lost(node) {
                None => DownloadStats { engine: DownloadEngine::Vaapi, why: None },
                Some(why) => {
                    DownloadStats { engine: DownloadEngine::None, why: Some(why.to_owned()) }
                }
            },
            Memory::Cuda(device) => {
                let status = engines.status(device);
                let completions = &self.handle.completions;
                let staged = completions.staged().then_some(status.not_pinned).flatten();
                let not_converted =
                    completions.not_converted().then_some(status.not_converted).flatten();
                let none = |words| DownloadStats { engine: DownloadEngine::None, why: Some(words) };
                match (status.lost, not_converted, staged) {
                    (Some(why), ..) => none(format!("GPU {device} is lost: {why}")),
                    (None, Some(why), _) => {
                        none(format!("GPU {device} can't convert frames: {why}"))
                    }
                    (None, None, Some(why)) => DownloadStats {
                        engine: DownloadEngine::Cuda,
                        why: Some(format!("staged: {why}")),
                    },
                    (None, None, None) => DownloadStats { engine: DownloadEngine::Cuda, why: None },
                }
            }
        };
        self.handle.stats.set(|stats| stats.download = download);
    }

    fn advance(&mut self, camera: &CameraId, surroundings: &Surroundings) {
        let Surroundings { resources, hold, slots, engines } = surroundings;
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
                    // Another writer may be about to end, such as this service's own before a
                    // restart.
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
        let options = RingOptions::choose(rate, *hold, *slots, MAX_IN_FLIGHT);
        self.handle.trip("ring");
        match export.open_ring(wanted.geometry, options) {
            Ok(OpenRing::Ready(writer)) => {
                let first_frame_id = export.first_frame_id();
                if let Memory::Cuda(device) = wanted.from {
                    engines.prepare(device, ToPrepare::new(&writer, wanted.converted));
                }
                self.wanted = None;
                resources.opened(camera, &writer.pages());
                self.opened(
                    camera,
                    &writer,
                    options,
                    Duration::from_nanos(monotonic_ns() - now_ns),
                );
                self.send(Delivery::Ring { writer, first_frame_id });
            }
            Ok(OpenRing::NotBefore(at_ns)) => {
                // A retired ring's memory is free once no GPU has it pinned.
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

    fn opened(&self, camera: &CameraId, writer: &RingWriter, options: RingOptions, took: Duration) {
        let geometry = writer.geometry();
        let bytes = geometry.ring_bytes(options.slots);
        let huge_bytes = writer.pages().huge().bytes();
        let lease_ms = u64::try_from(options.lease.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            %camera,
            "exporting {}x{}: {} slots, {:.1} MiB, {} MiB of them on huge pages, frames promised for {lease_ms} ms; opened \
             in {took:.1?}",
            geometry.width(),
            geometry.height(),
            options.slots,
            bytes as f64 / f64::from(1 << 20),
            huge_bytes >> 20,
        );
        self.handle.stats.set(|stats| {
            stats.state = ExportState::Open;
            stats.detail.clear();
            stats.slots = options.slots;
            stats.ring_bytes = bytes;
            stats.huge_bytes = huge_bytes;
            stats.lease_ms = lease_ms;
        });
    }

    /// Records why there is no export; logs it only when the reason is new.
    fn refuse(&self, camera: &CameraId, words: &str) {
        if self.handle.stats.refuse(words) {
            tracing::error!(%camera, "runs without export: {words}");
        }
    }

    /// A tap that is not polling (its camera delivers nothing) finds the latest when it does.
    fn send(&self, delivery: Delivery) {
        let _ = self.handle.deliveries.force_push(delivery);
    }
}
