//! The thread that waits for the frames of all cameras that coroutines wait for.
//!
//! There is one in each process that needs it. It holds no Python lock while it waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use vas_frame::{WaitSet, Waker};

/// How often writers are asked for, and cameras without a writer are looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// What a coroutine waits for. See `vas_frame::WaitPoint`.
#[pyclass(frozen, module = "vas_frames")]
pub(crate) struct WaitPoint {
    pub(crate) point: vas_frame::WaitPoint,
}

/// A wait that has not ended.
struct Pending {
    ticket: u64,
    /// Called once, from the thread.
    callback: Py<PyAny>,
    /// When to look at it again if nothing is published.
    due: Instant,
}

/// What callers leave for the thread.
#[derive(Default)]
struct Inbox {
    new: Vec<(Pending, vas_frame::WaitPoint)>,
    cancelled: Vec<u64>,
    /// To be called at once.
    ended: Vec<u64>,
    tickets: u64,
    /// The thread is to end.
    stop: bool,
}

/// The thread of one process.
struct Waiter {
    pid: u32,
    inbox: Arc<Mutex<Inbox>>,
    waker: Waker,
    thread: JoinHandle<()>,
}

/// Locked with the GIL held or the interpreter attached, and never while anything waits: a child of fork finds it
/// unlocked.
static WAITER: Mutex<Option<Waiter>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiter {
    fn start() -> std::io::Result<Self> {
        let (set, inbox) = (WaitSet::new(), Arc::<Mutex<Inbox>>::default());
        let (waker, of_thread) = (set.waker(), Arc::clone(&inbox));
        let thread = std::thread::Builder::new().name("vas-waiter".into());
        let thread = thread.spawn(move || run(set, &of_thread))?;
        Ok(Self { pid: std::process::id(), inbox, waker, thread })
    }
}

/// Calls `callback`, from another thread, once the camera of `point` has something new or is to be looked at. Returns a
/// ticket.
pub(crate) fn when_ready(point: &WaitPoint, callback: Py<PyAny>) -> PyResult<u64> {
    let mut waiter = lock(&WAITER);
    // A child of fork does not have its parent's thread.
    if waiter.as_ref().is_none_or(|waiter| waiter.pid != std::process::id()) {
        let started = Waiter::start().map_err(|error| {
            PyOSError::new_err(format!("can't start the thread that waits for frames: {error}"))
        })?;
        std::mem::forget(waiter.replace(started));
    }
    let Some(Waiter { inbox, waker, .. }) = &*waiter else { unreachable!("started above") };
    let ticket = {
        let mut inbox = lock(inbox);
        inbox.tickets += 1;
        let ticket = inbox.tickets;
        let pending = Pending { ticket, callback, due: Instant::now() + LOOK };
        inbox.new.push((pending, point.point.clone()));
        ticket
    };
    waker.wake();
    Ok(ticket)
}

/// Gives up a wait; its callback may still be called once.
pub(crate) fn cancel(ticket: u64) {
    tell(|inbox| inbox.cancelled.push(ticket));
}

/// Ends waits: their callbacks are called.
pub(crate) fn end(tickets: &[u64]) {
    if !tickets.is_empty() {
        tell(|inbox| inbox.ended.extend(tickets));
    }
}

fn tell(words: impl FnOnce(&mut Inbox)) {
    if let Some(waiter) = lock(&WAITER).as_ref().filter(|waiter| waiter.pid == std::process::id()) {
        words(&mut lock(&waiter.inbox));
        waiter.waker.wake();
    }
}

/// Ends the thread, before the interpreter ends: a thread that asks for an interpreter that is ending is killed, which
/// aborts the process.
#[pyfunction]
pub(crate) fn _stop_waiter(py: Python<'_>) {
    let waiter = lock(&WAITER).take();
    let Some(waiter) = waiter else { return };
    if waiter.pid != std::process::id() {
        // The parent's, of which a child of fork has no thread.
        std::mem::forget(waiter);
        return;
    }
    let Waiter { inbox, waker, thread, .. } = waiter;
    lock(&inbox).stop = true;
    waker.wake();
    // It may be about to call back, and needs the interpreter for that. A panic of it was reported.
    let _ = py.detach(|| thread.join());
}

fn run(mut set: WaitSet, inbox: &Mutex<Inbox>) {
    let (mut pending, mut points): (Vec<Pending>, Vec<_>) = (Vec::new(), Vec::new());
    let mut ended = Vec::new();
    loop {
        let over = {
            let mut inbox = lock(inbox);
            if inbox.stop {
                break;
            }
            for (new, point) in inbox.new.drain(..) {
                pending.push(new);
                points.push(point);
            }
            for cancelled in inbox.cancelled.drain(..) {
                if let Some(place) = pending.iter().position(|waits| waits.ticket == cancelled) {
                    ended.push(pending.swap_remove(place).callback);
                    points.swap_remove(place);
                }
            }
            std::mem::take(&mut inbox.ended)
        };
        let cancelled = ended.len();
        for ticket in over {
            if let Some(place) = pending.iter().position(|waits| waits.ticket == ticket) {
                ended.push(pending.swap_remove(place).callback);
                points.swap_remove(place);
            }
        }
        let now = Instant::now();
        for place in (0..pending.len()).rev() {
            let due = pending[place].due <= now;
            if points[place].is_ready() || (due && !points[place].is_live()) {
                ended.push(pending.swap_remove(place).callback);
                points.swap_remove(place);
            } else if due {
                pending[place].due = now + LOOK;
            }
        }
        if ended.is_empty() {
            // Without a camera to wait for, it sleeps until there is one.
            let time = if points.is_empty() { Duration::MAX } else { LOOK };
            set.wait(&points, time);
            continue;
        }
        let called = Python::try_attach(|py| {
            for (number, callback) in ended.drain(..).enumerate() {
                if number >= cancelled
                    && let Err(error) = callback.call0(py)
                {
                    error.write_unraisable(py, Some(callback.bind(py)));
                }
            }
        });
        if called.is_none() {
            break;
        }
    }
    // The interpreter ends: its objects are not to be touched any more.
    std::mem::forget((pending, ended));
}
