//! A thread that ends with its owner.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};

/// A named thread. Dropping this asks it to stop, wakes it if it is parked, and waits for its end.
#[derive(Debug)]
pub struct OwnedThread {
    thread: Option<JoinHandle<()>>,
    stop: StopRequest,
    wake: Wake,
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
        let builder = std::thread::Builder::new().name(name.into());
        let thread = builder.spawn(move || run(of_thread))?;
        Ok(Self { thread: Some(thread), stop, wake: Wake::default() })
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
        let Some(thread) = self.thread.take() else { return };
        self.stop.0.store(true, Ordering::SeqCst);
        thread.thread().unpark();
        if let Wake(Some(wake)) = &self.wake {
            wake();
        }
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
}
