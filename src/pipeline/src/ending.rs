//! The end of a thread as an event, because joining a `JoinHandle` has no time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::wakeup::Wakeup;

/// Dropped by a thread as its last action.
#[derive(Debug)]
pub(super) struct Ending {
    ended: Arc<AtomicBool>,
    wakeup: Arc<Wakeup>,
}

/// Reports whether that has happened.
#[derive(Debug)]
pub(super) struct End(Arc<AtomicBool>);

impl Ending {
    /// For a thread whose end signals `wakeup`.
    pub(super) fn new(wakeup: &Arc<Wakeup>) -> (Self, End) {
        let ended = Arc::<AtomicBool>::default();
        let end = End(Arc::clone(&ended));
        (Self { ended, wakeup: Arc::clone(wakeup) }, end)
    }
}

impl End {
    pub(super) fn has_come(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Before the signal, so that the woken thread sees the end.
        self.ended.store(true, Ordering::Release);
        self.wakeup.signal();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vas_frame::CameraId;

    use super::*;
    use crate::spawn_until;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn each_end_is_signalled_after_all_work_and_that_of_a_panic_too() {
        let camera = CameraId::new("gate").unwrap();
        for panics in [false, true] {
            let wakeup = Arc::new(Wakeup::new().unwrap());
            let (ending, end) = Ending::new(&wakeup);
            let worked = Arc::<AtomicBool>::default();
            let (go, gone) = std::sync::mpsc::channel::<()>();
            let of_panic = Arc::clone(&worked);
            let of_thread = Arc::clone(&worked);
            let run = move || {
                let _ = gone.recv();
                assert!(!panics, "on purpose");
                of_thread.store(true, Ordering::SeqCst);
            };
            let panicked = move || of_panic.store(true, Ordering::SeqCst);
            let thread = spawn_until("demux", &camera, run, panicked, ending).unwrap();
            assert!(!end.has_come());
            drop(go);
            while !end.has_come() {
                wakeup.wait(LONG);
            }
            assert!(worked.load(Ordering::SeqCst));
            thread.join().unwrap();
        }
    }
}
