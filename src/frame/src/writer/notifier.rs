//! The thread that wakes many readers, so that no publisher has to.

use std::sync::{Arc, PoisonError, Weak};

use super::notifier_handle::NotifierHandle;
use super::ring::{Ring, WAKE_AT_ONCE};
use crate::futex;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{AtomicBool, Mutex, Ordering};

/// Wakes the readers beyond the few that a publisher wakes itself; one thread serves all cameras.
///
/// A publisher that finds more waiters than it may wake marks its ring and unparks this thread. Marks
/// set meanwhile are coalesced: a thousand readers are woken once, not once per frame.
#[derive(Debug)]
pub struct Notifier {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Panics of this process's notifiers, after which they continued.
static PANICS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// Locked when a ring opens and by the notifier's own thread; never by a publisher.
    rings: Mutex<Vec<Weak<Ring>>>,
    /// Makes the thread panic in its next round, for tests.
    #[cfg(test)]
    armed: std::sync::atomic::AtomicBool,
}

impl Notifier {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system can't create a thread.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            rings: Mutex::default(),
            #[cfg(test)]
            armed: std::sync::atomic::AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("vas-notifier".into()).spawn(move || of_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How often notifiers of this process panicked and continued.
    #[must_use]
    pub fn panics() -> u64 {
        PANICS.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn handle(&self) -> NotifierHandle {
        let thread = self.thread.as_ref().expect("the thread exists until drop").thread();
        NotifierHandle::new(thread)
    }

    pub(crate) fn register(&self, ring: &Arc<Ring>) {
        let mut rings = self.shared.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.retain(|ring| ring.strong_count() > 0);
        rings.push(Arc::downgrade(ring));
    }
}

impl Shared {
    fn run(&self) {
        while !self.stop.load(Ordering::Acquire) {
            thread::park();
            self.guarded_look();
        }
    }

    /// A panic costs one round only: readers that it did not wake check again after 50 ms by themselves, and the
    /// next frame starts another round.
    #[cfg(not(loom))]
    fn guarded_look(&self) {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.look())) {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let words = text.unwrap_or("a panic without a message");
            PANICS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tracing::error!(
                "internal error in the notifier of the frame path: {words}; the notifier continues"
            );
        }
    }

    /// The model checker must see each panic.
    #[cfg(loom)]
    fn guarded_look(&self) {
        self.look();
    }

    fn look(&self) {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        for ring in rings.iter().filter_map(Weak::upgrade) {
            // The mark needs no ordering: a publisher unparks this thread after it sets the mark, and
            // the futex has its own lock.
            if ring.crowd_waits.swap(false, Ordering::Relaxed) {
                #[cfg(test)]
                assert!(!self.armed.swap(false, Ordering::SeqCst), "requested by a test");
                let woken = futex::wake(&ring.header().published, i32::MAX as u32);
                ring.is_crowded.store(woken > WAKE_AT_ONCE as usize, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!(
                    "the notifier thread panicked: readers beyond the first few woke by time-out only"
                );
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::writer::{CameraExport, ExportRoot, OpenRing, RingOptions};
    use crate::{Access, CameraId, Color, Geometry};

    #[test]
    fn a_panic_is_counted_and_later_waiters_are_woken() {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = Arc::new(ExportRoot::open(dir.path(), Access::default()).unwrap());
        let notifier = Arc::new(Notifier::start().unwrap());
        let camera = CameraId::new("gate").unwrap();
        let mut export = CameraExport::claim(&root, &camera, &notifier).unwrap();
        let geometry = Geometry::new(16, 16, Color::default(), 8).unwrap();
        let options = RingOptions { slots: 2, lease: Duration::ZERO, frame_rate: None };
        let OpenRing::Ready(writer) = export.open_ring(geometry, options).unwrap() else {
            panic!("the first ring waits for nothing");
        };
        let ring = notifier.shared.rings.lock().unwrap()[0].upgrade().unwrap();
        let before = Notifier::panics();
        notifier.shared.armed.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            ring.crowd_waits.store(true, Ordering::Relaxed);
            notifier.handle().notify();
            while ring.crowd_waits.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        }
        assert!(!notifier.shared.armed.load(Ordering::SeqCst));
        assert_eq!(Notifier::panics(), before + 1);
        drop(writer);
    }
}
