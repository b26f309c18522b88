//! One GPU's engine, as its owner sees it.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use cudarc::driver::CudaStream;
use vas_cuda::{CudaError, Driver, Kernels, NoKernels};
use vas_frame::{Geometry, RingPages};

use crate::convert::scratch_bytes;
use crate::copy_queue::GpuCopyQueue;
use crate::cuda::{Gpu, OnLost};
use crate::guard::{Guard, OnPanic};
use crate::job::Surface;
use crate::outcome::Outcomes;
use crate::permit::NoPermits;
use crate::rings::Status;
use crate::submitter::{GpuSubmitter, ToPin};
use crate::worker::{Parts, StartError};

/// Finds the kernels in a context, or says why there are none.
pub type FindKernels = Box<dyn Fn() -> Result<Arc<Kernels>, NoKernels> + Send + Sync>;

/// What an engine needs to start.
pub struct Setup {
    /// The driver that was found.
    pub driver: Driver,
    /// The stream on which pictures are completed, of the context that the device's decoders use.
    /// Held until the engine has stopped.
    pub decode_stream: Arc<CudaStream>,
    /// Most frames in flight, over all cameras.
    pub permits: u32,
    /// The kernels in the context of `decode_stream`. Called on the engine's thread, when a picture must be converted
    /// and until it succeeds.
    pub kernels: FindKernels,
    /// Called once, on one of the engine's threads, when the device is lost.
    pub on_lost: Box<dyn Fn(&CudaError) + Send + Sync>,
    /// Called on one of the engine's threads when it panicked, with the thread's part and the
    /// panic's message. The frame at hand is given up, and the thread goes on.
    pub on_panic: OnPanic,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.decode_stream.context().ordinal();
        f.debug_struct("Setup").field("device", &device).field("permits", &self.permits).finish()
    }
}

/// The download engine of a GPU. Dropping it stops it.
pub struct Engine<S> {
    submitter: Arc<GpuSubmitter<S>>,
    thread: Option<JoinHandle<()>>,
}

impl<S> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("status", &self.submitter.status()).finish()
    }
}

impl<S: Surface + 'static> Engine<S> {
    /// Starts the threads `vas-cuda-N` and `vas-reap-N` of device N, and waits until they are
    /// ready.
    ///
    /// # Errors
    /// Threads, a stream or an event can't be created; nothing is left then.
    pub fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup { driver, decode_stream, permits, kernels, on_lost, on_panic } = setup;
        let context = Arc::clone(decode_stream.context());
        let submitter = Arc::new(GpuSubmitter::new(permits));
        let name = format!("vas-cuda-{}", context.ordinal());
        let seen = Arc::clone(&submitter);
        let on_lost: OnLost = Box::new(move |error| {
            seen.lose(error);
            on_lost(error);
        });
        let (said, hear) = mpsc::sync_channel(1);
        let parts = Parts {
            gpu: Arc::new(Gpu::new(driver, context, on_lost)),
            decode_stream,
            kernels,
            submitter: Arc::clone(&submitter),
            permits,
            guard: Arc::new(Guard::new(on_panic)),
        };
        let thread = std::thread::Builder::new().name(name).spawn(move || match parts.begin() {
            Ok(worker) => {
                // The caller of `start` waits for this.
                let _heard = said.send(Ok(()));
                drop(said);
                worker.run();
            }
            Err(error) => {
                let _heard = said.send(Err(error));
            }
        })?;
        let mut engine = Self { submitter, thread: Some(thread) };
        match hear.recv() {
            Ok(Ok(())) => Ok(engine),
            Ok(Err(error)) => {
                engine.end();
                Err(error)
            }
            Err(_) => Err(StartError::Ended),
        }
    }
}

impl<S> Engine<S> {
    /// A queue for a camera with up to `in_flight` frames in flight, each of which holds one
    /// surface: this must be fewer than its decoder can spare.
    ///
    /// # Errors
    /// The other copy queues hold the engine's permits.
    pub fn copy_queue(
        &self,
        in_flight: u32,
        outcomes: Arc<dyn Outcomes>,
    ) -> Result<GpuCopyQueue<S>, NoPermits> {
        GpuCopyQueue::new(&self.submitter, in_flight, outcomes)
    }

    /// Pins a ring before its first frame arrives, which would otherwise wait for it. If its frames are
    /// converted by a kernel, also allocates device memory for a picture of the ring's slots. Does not wait.
    pub fn prepare(&self, pages: RingPages, converted: Option<&Geometry>) {
        self.submitter.ask_to_pin(ToPin { pages, scratch_bytes: converted.map(scratch_bytes) });
    }

    /// To be called about once a second: unpins and unmaps rings that nothing else holds any more.
    pub fn housekeep(&self) {
        self.submitter.ask_to_sweep();
    }

    /// Unpins a ring that another device is to fill from now on: a process can pin pages only once.
    /// Frames that were handed over before are still copied into it.
    pub fn release(&self, pages: RingPages) {
        self.submitter.ask_to_release(pages);
    }

    /// Whether no camera has a copy queue here.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.submitter.semaphore().is_whole()
    }

    /// Ends the engine as [`stop`](Self::stop) does, without waiting: it admits nothing from now
    /// on.
    pub fn begin_stop(&self) {
        self.submitter.ask_to_stop();
    }

    /// Whether its threads have ended, so that dropping it does not wait.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.submitter.status()
    }

    /// Finishes what was handed over, unpins all rings and ends the threads. Waits for running
    /// copies.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.submitter.ask_to_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of a download engine panicked");
        }
    }
}

impl<S> Drop for Engine<S> {
    fn drop(&mut self) {
        self.end();
    }
}
