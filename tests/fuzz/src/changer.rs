//! A second thread that changes the files while the first reads them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, yield_now};

use crate::files::Bytes;
use crate::script::Poke;

/// The thread. Between inputs it polls for work: waking it would take longer than most inputs.
pub(crate) struct Changer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// What to change and how. Locked during each change, so that none comes after its input's end.
    work: Mutex<Option<(Bytes, Vec<Poke>)>>,
    /// Whether to check `work`. The lock is not fair: a thread that always takes it starves the
    /// other.
    active: AtomicBool,
    over: AtomicBool,
}

impl Changer {
    pub(crate) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        Self { shared, thread: Some(std::thread::spawn(move || theirs.change())) }
    }

    /// Changes the files over and over while `run` runs.
    pub(crate) fn during(&self, bytes: &Bytes, pokes: Vec<Poke>, run: impl FnOnce()) {
        *self.shared.work.lock().unwrap() = Some((bytes.clone(), pokes));
        self.shared.active.store(true, Ordering::Release);
        // Lets the other thread run if both share a processor.
        yield_now();
        run();
        self.shared.active.store(false, Ordering::Release);
        *self.shared.work.lock().unwrap() = None;
    }
}

impl Shared {
    fn change(&self) {
        let mut turn = 0;
        while !self.over.load(Ordering::Acquire) {
            if !self.active.load(Ordering::Acquire) {
                yield_now();
                continue;
            }
            if let Some((bytes, pokes)) = &*self.work.lock().unwrap()
                && !pokes.is_empty()
            {
                turn = (turn + 1) % pokes.len();
                bytes.poke(&pokes[turn]);
            }
        }
    }
}

impl Drop for Changer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there is a fault of the harness, and libFuzzer has reported it.
            let _ = thread.join();
        }
    }
}
