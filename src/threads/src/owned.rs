//! A thread that ends with its owner.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// A named thread. Dropping this asks it to stop, wakes it if it is parked, and waits for its end.
#[derive(Debug)]
pub struct OwnedThread {
    thread: Option<JoinHandle<()>>,
    stop: StopRequest,
    wake: Wake,
    /// Disconnected when the thread ends.
    end: Mutex<Receiver<()>>,
}

/// Wakes the thread where it is not parked, but waits for something else.
#[derive(Default)]
struct Wake(Option<Box<dyn Fn() + Send + Sync>>);

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Wake" } else { "Unpark" })
    }
}

/// Tells the thread whether it is to stop.
#[derive(Clone, Debug, Default)]
pub struct StopRequest(Arc<AtomicBool>);

impl StopRequest {
    /// Whether the thread is to stop. It is unparked after this has become true.
    pub fn is_made(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl OwnedThread {
    /// Starts a thread; the kernel keeps 15 bytes of its name. `run` must return soon after `stop`
    /// was [made](StopRequest::is_made).
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn spawn(
        name: impl Into<String>,
        run: impl FnOnce(StopRequest) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = StopRequest::default();
        let of_thread = stop.clone();
        let (ending, end) = channel();
        let builder = std::thread::Builder::new().name(name.into());
        let thread = builder.spawn(move || {
            let _ending = ending;
            run(of_thread);
        })?;
        Ok(Self { thread: Some(thread), stop, wake: Wake::default(), end: Mutex::new(end) })
    }

    /// Asks the thread to stop and waits so long for its end. `false`: it has not ended, and is left behind.
    pub fn stop_within(mut self, within: Duration) -> bool {
        self.begin_stop();
        let end = self.end.get_mut().unwrap_or_else(PoisonError::into_inner);
        if end.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            self.thread = None;
            return false;
        }
        true
    }

    /// Whether the thread has ended.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Asks the thread to stop, without waiting for it.
    pub fn begin_stop(&self) {
        let Some(thread) = &self.thread else { return };
        self.stop.0.store(true, Ordering::SeqCst);
        thread.thread().unpark();
        if let Wake(Some(wake)) = &self.wake {
            wake();
        }
    }

    /// Has `wake` wake the thread for its end, in addition to unparking it.
    #[must_use]
    pub fn woken_by(mut self, wake: impl Fn() + Send + Sync + 'static) -> Self {
        self.wake = Wake(Some(Box::new(wake)));
        self
    }

    /// The thread's handle, for unparking it.
    ///
    /// # Panics
    /// Never: the thread exists until this is dropped.
    pub fn thread(&self) -> &Thread {
        self.thread.as_ref().expect("the thread is there until drop").thread()
    }
}

impl Drop for OwnedThread {
    fn drop(&mut self) {
        self.begin_stop();
        let Some(thread) = self.thread.take() else { return };
        let name = thread.thread().name().unwrap_or_default().to_owned();
        if thread.join().is_err() {
            tracing::error!("the thread {name} panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_its_owner_and_a_panic_of_it_is_survived() {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = OwnedThread::spawn("parked", move |stop| {
            while !stop.is_made() {
                std::thread::park();
            }
            seen.store(true, Ordering::SeqCst);
        });
        drop(thread.unwrap());
        assert!(ended.load(Ordering::SeqCst), "joined");
        drop(OwnedThread::spawn("panics", |_| panic!("on purpose")).unwrap());
    }

    #[test]
    fn a_thread_that_does_not_end_is_left_behind() {
        let (release, held) = channel::<()>();
        let hangs = OwnedThread::spawn("hangs", move |_| {
            let _ = held.recv();
        })
        .unwrap();
        assert!(!hangs.stop_within(Duration::ZERO));
        drop(release);
        let ends = OwnedThread::spawn("ends", |stop| {
            while !stop.is_made() {
                std::thread::park();
            }
        });
        assert!(ends.unwrap().stop_within(Duration::from_secs(60)));
    }
}
