//! The thread that wakes crowds, so that no publisher has to.

use std::sync::{Arc, PoisonError, Weak};

use super::ring::{Ring, WAKE_AT_ONCE};
use crate::futex;
use crate::sync::thread::{self, JoinHandle, Thread};
use crate::sync::{AtomicBool, Mutex, Ordering};

/// Wakes the readers beyond the few that a publisher wakes itself; one thread serves all cameras.
///
/// A publisher that finds more waiters than it may wake marks its ring and unparks this thread. Marks
/// that come while it works are one mark: a thousand readers are woken once, not once a frame.
#[derive(Debug)]
pub struct Notifier {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// Locked when a ring opens and by the notifier's own thread; never by a publisher.
    rings: Mutex<Vec<Weak<Ring>>>,
}

/// What a ring keeps to reach its notifier.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Thread);

impl Bell {
    /// For a ring whose readers are few.
    #[cfg(loom)]
    pub(crate) fn unheard() -> Self {
        Self(thread::current())
    }

    pub(crate) fn ring(&self) {
        self.0.unpark();
    }
}

impl Notifier {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), rings: Mutex::default() });
        let of_thread = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("vas-notifier".into()).spawn(move || of_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(crate) fn bell(&self) -> Bell {
        let thread = self.thread.as_ref().expect("the thread is there until drop").thread();
        Bell(thread.clone())
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
            let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            for ring in rings.iter().filter_map(Weak::upgrade) {
                // The mark orders nothing: whoever sets it rings after it, and the futex has its own lock.
                if ring.crowd_waits.swap(false, Ordering::Relaxed) {
                    let woken = futex::wake(&ring.header().published, i32::MAX as u32);
                    ring.is_crowded.store(woken > WAKE_AT_ONCE as usize, Ordering::Relaxed);
                }
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
                    "the notifier thread panicked: crowds of readers woke by time-out only"
                );
            }
        }
    }
}
