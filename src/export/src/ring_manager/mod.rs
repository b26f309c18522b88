//! The thread that opens and maintains rings, so that no decode thread ever waits for memory.

mod camera;
mod checks;
mod handle;
mod schedule;
mod watches;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use vas_config::Export;
use vas_frame::{CameraId, WatchEvent, monotonic_ns};
use vas_pipeline::{Demand, Exported as _, InputStats, Wakeup};
use vas_threads::{OwnedThread, StopRequest};

use super::engines::Engines;
use super::panics::Panics;
use super::resources::Resources;

use camera::{AFTER_PANIC_NS, EngineWanted, ManagedCamera, Surroundings, Wanted};
use checks::Intervals;

pub(super) use handle::{Delivery, EngineAnswer, RingHandle};
use handle::{Request, Shared};
use schedule::{Key, Schedule};
use watches::Watches;

/// How often engines are maintained, if there are any.
const ENGINES_NS: u64 = 1_000_000_000;
/// Most reads of events in a turn: other work must get its turn, however many there are.
const READS_A_TURN: usize = 4;

/// The thread. Stopping it removes the cameras' files.
#[derive(Debug)]
pub(super) struct RingManager {
    shared: Arc<Shared>,
    config: Export,
    intervals: Intervals,
    /// How many watches the tests' system has.
    #[cfg(test)]
    most_watches: Option<usize>,
    panics: Arc<Panics>,
    thread: Option<OwnedThread>,
}

impl RingManager {
    /// Without its thread; cameras that are added wait for it.
    pub(super) fn new(config: &Export, panics: Arc<Panics>) -> Self {
        Self {
            shared: Arc::new(Shared::new()),
            config: config.clone(),
            intervals: Intervals::default(),
            #[cfg(test)]
            most_watches: None,
            panics,
            thread: None,
        }
    }

    /// Starts the thread, if it does not run.
    ///
    /// # Errors
    /// The system has no thread or descriptor to give.
    pub(super) fn start(&mut self) -> io::Result<()> {
        if self.thread.is_some() {
            return Ok(());
        }
        let wakeup = Arc::new(Wakeup::new()?);
        let mut work = Work::new(&self.config, self.intervals, Arc::clone(&self.panics));
        #[cfg(test)]
        work.watches.limit(self.most_watches);
        let (shared, of_thread) = (Arc::clone(&self.shared), Arc::clone(&wakeup));
        let run = move |stop: StopRequest| work.run(&shared, &of_thread, &stop);
        let thread = OwnedThread::spawn("vas-rings", run)?;
        self.shared.is_woken_by(&wakeup);
        self.thread = Some(thread.woken_by(move || wakeup.signal()));
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
    surroundings: Surroundings,
    cameras: HashMap<Key, Named>,
    keys: HashMap<CameraId, Key>,
    next_key: Key,
    schedule: Schedule,
    watches: Watches,
    intervals: Intervals,
    panics: Arc<Panics>,
    housekeeping_ns: u64,
    due: Vec<Key>,
}

struct Named {
    id: CameraId,
    managed: ManagedCamera,
}

impl Work {
    fn new(config: &Export, intervals: Intervals, panics: Arc<Panics>) -> Self {
        Self {
            surroundings: Surroundings {
                resources: Resources::new(config),
                hold: config.hold,
                slots: config.slots,
                engines: Engines::new(Arc::clone(&panics)),
            },
            cameras: HashMap::new(),
            keys: HashMap::new(),
            next_key: 0,
            schedule: Schedule::default(),
            watches: Watches::new(),
            intervals,
            panics,
            housekeeping_ns: monotonic_ns().saturating_add(intervals.slow),
            due: Vec::new(),
        }
    }

    fn run(&mut self, shared: &Shared, wakeup: &Wakeup, stop: &StopRequest) {
        let panics = Arc::clone(&self.panics);
        while !stop.is_made() {
            wakeup.clear();
            let next_ns = panics.catch("ring manager", None, || self.turn(shared));
            if next_ns.is_none() {
                // What was due or notified in that turn may be lost.
                panics.catch("ring manager", None, || self.check_all(monotonic_ns()));
            }
            // Soon after a panic, but not at once: it may recur.
            let next_ns = next_ns.unwrap_or_else(|| monotonic_ns() + AFTER_PANIC_NS);
            self.watches.wait(wakeup, next_ns.saturating_sub(monotonic_ns()));
        }
        // While the rings still exist: copies in flight finish, then the rings are unpinned.
        panics.catch("ring manager", None, || self.surroundings.engines.stop());
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
        let more_events = self.take_events();
        let now_ns = monotonic_ns();
        if now_ns >= self.housekeeping_ns {
            self.housekeep(now_ns);
        }
        let Surroundings { resources, .. } = &mut self.surroundings;
        if resources.open(now_ns) {
            self.watches.watch_root(resources);
            for (key, named) in &mut self.cameras {
                named.managed.claim_now();
                self.schedule.set(*key, now_ns);
            }
        }
        let mut due = std::mem::take(&mut self.due);
        self.schedule.take_due(now_ns, &mut due);
        due.drain(..).for_each(|key| self.work_on(key));
        self.due = due;
        if self.surroundings.engines.any() {
            self.housekeeping_ns = self.housekeeping_ns.min(now_ns + ENGINES_NS);
        }
        if more_events {
            return now_ns;
        }
        let next_ns = self.housekeeping_ns.min(self.surroundings.resources.next_ns());
        next_ns.min(self.schedule.next_ns())
    }

    /// Handles some of the waiting events of files. `true`: more wait.
    fn take_events(&mut self) -> bool {
        let mut events = Vec::new();
        let mut reads = 0;
        let more = loop {
            let more = self.watches.take(&mut events);
            reads += 1;
            if !more || reads == READS_A_TURN {
                break more;
            }
        };
        let now_ns = monotonic_ns();
        events.into_iter().for_each(|event| self.event(event, now_ns));
        more
    }

    fn event(&mut self, event: WatchEvent, now_ns: u64) {
        let key = match event {
            WatchEvent::Overflow => {
                self.housekeep(now_ns);
                return self.check_all(now_ns);
            }
            WatchEvent::Files(id) if self.surroundings.resources.is_watched_by(id) => {
                return self.housekeep(now_ns);
            }
            WatchEvent::Readers(id) | WatchEvent::Files(id) => self.watches.camera(id),
        };
        let Some((key, named)) = key.and_then(|key| Some((key, self.cameras.get_mut(&key)?)))
        else {
            return;
        };
        match event {
            WatchEvent::Readers(_) => named.managed.readers_changed(&mut self.watches, now_ns),
            WatchEvent::Files(_) | WatchEvent::Overflow => named.managed.files_changed(now_ns),
        }
        self.schedule.set(key, named.managed.next_ns());
    }

    /// Checks readers and files of all cameras: something may have happened to each.
    fn check_all(&mut self, now_ns: u64) {
        for (key, named) in &mut self.cameras {
            named.managed.check_soon(now_ns);
            self.schedule.set(*key, now_ns);
        }
    }

    fn work_on(&mut self, key: Key) {
        let Some(Named { id, managed }) = self.cameras.get_mut(&key) else { return };
        let Self { surroundings, watches, panics, .. } = self;
        let done =
            panics.catch("ring manager", Some(id), || managed.work(id, key, surroundings, watches));
        if done.is_none() {
            managed.start_over(id, watches, panics);
        }
        self.schedule.set(key, managed.next_ns());
        if done == Some(false) {
            // The whole directory may be gone, of which there is no event while it is open.
            self.housekeep(monotonic_ns());
        }
    }

    fn accept(&mut self, request: Request) {
        let camera = match request {
            Request::Camera(handle) => return self.add(handle),
            Request::Leave(camera) => return self.remove(&camera),
            Request::Ring { ref camera, .. } | Request::Engine { ref camera, .. } => camera,
        };
        let Some(key) = self.keys.get(camera).copied() else { return };
        let Some(Named { managed, .. }) = self.cameras.get_mut(&key) else { return };
        match request {
            Request::Ring { geometry, fps, from, converted, .. } => {
                managed.want(Wanted { geometry, fps, from, converted, at_ns: 0 });
            }
            Request::Engine { memory, ring, .. } => {
                managed.want_engine(EngineWanted { memory, ring, at_ns: 0 });
            }
            Request::Camera(_) | Request::Leave(_) => {}
        }
        self.schedule.set(key, managed.next_ns());
    }

    fn add(&mut self, handle: RingHandle) {
        let id = handle.camera().clone();
        self.remove(&id);
        let key = self.next_key;
        self.next_key += 1;
        self.keys.insert(id.clone(), key);
        self.cameras
            .insert(key, Named { id, managed: ManagedCamera::new(handle, self.intervals, key) });
        self.schedule.set(key, 0);
    }

    fn remove(&mut self, camera: &CameraId) {
        let Some(key) = self.keys.remove(camera) else { return };
        self.schedule.remove(key);
        if let Some(Named { mut managed, .. }) = self.cameras.remove(&key) {
            managed.unwatch(&mut self.watches);
        }
    }

    fn housekeep(&mut self, now_ns: u64) {
        self.housekeeping_ns = now_ns.saturating_add(self.intervals.slow);
        self.surroundings.engines.housekeep();
        let resources = &mut self.surroundings.resources;
        let gone = resources.housekeep();
        if resources.lacks_watch() {
            self.watches.watch_root(resources);
        }
        if gone {
            self.check_all(now_ns);
        }
    }
}

#[cfg(test)]
mod tests;
