//! One GPU's engine: the thread that queues copies.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use cudarc::driver::CudaContext;
use cudarc::driver::sys::CUstream;
use vas_frame::RingPages;

use crate::cuda::{Event, Gpu, OnLost, Staging, Stream};
use crate::driver::Driver;
use crate::entrance::Entrance;
use crate::error::CudaError;
use crate::job::{Failure, Job, Outcomes, Surface};
use crate::lane::{Lane, NoRoom};
use crate::reaper::{Arrival, Landing, Reaper, Tools};
use crate::rings::Rings;
use crate::status::Status;

/// What an engine is made of.
pub struct Setup {
    /// The driver that was found.
    pub driver: Driver,
    /// The device's context: the one that its decoders use.
    pub context: Arc<CudaContext>,
    /// The stream that pictures are complete on; null is the context's default stream.
    pub decode_stream: CUstream,
    /// Most frames in flight, over all cameras.
    pub places: u32,
    /// Told, once and on one of the engine's threads, when the device is lost.
    pub on_lost: Box<dyn Fn(&CudaError) + Send + Sync>,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.context.ordinal();
        f.debug_struct("Setup").field("device", &device).field("places", &self.places).finish()
    }
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system has no thread for it.
    #[error("can't start a thread of the download engine: {0}")]
    Thread(#[from] io::Error),
    /// The driver refuses what it needs.
    #[error("can't start the download engine: {0}")]
    Cuda(#[from] CudaError),
    /// Its thread ended before it had said anything.
    #[error("the download engine's thread ended as it began")]
    Ended,
}

/// The download engine of a GPU. Dropping it stops it.
pub struct Engine<S> {
    entrance: Arc<Entrance<S>>,
    thread: Option<JoinHandle<()>>,
}

impl<S> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("status", &self.entrance.status()).finish()
    }
}

impl<S: Surface + 'static> Engine<S> {
    /// Starts the threads `vas-cuda-N` and `vas-reap-N` of device N, and waits until they can work.
    ///
    /// # Errors
    /// When threads, a stream or an event can't be had; nothing is left then.
    ///
    /// # Safety
    /// `decode_stream` is a stream of `context`, and stays alive until the engine has stopped.
    pub unsafe fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup { driver, context, decode_stream, places, on_lost } = setup;
        let entrance = Arc::new(Entrance::new(places));
        let name = format!("vas-cuda-{}", context.ordinal());
        let seen = Arc::clone(&entrance);
        let on_lost: OnLost = Box::new(move |error| {
            seen.lose(error);
            on_lost(error);
        });
        let (said, hear) = mpsc::sync_channel(1);
        let parts = Parts {
            gpu: Arc::new(Gpu::new(driver, context, on_lost)),
            decode_stream: DecodeStream(decode_stream),
            entrance: Arc::clone(&entrance),
            places,
        };
        let thread = std::thread::Builder::new().name(name).spawn(move || match parts.begin() {
            Ok(worker) => {
                // Who asked waits for this word.
                let _heard = said.send(Ok(()));
                drop(said);
                worker.run();
            }
            Err(error) => {
                let _heard = said.send(Err(error));
            }
        })?;
        let mut engine = Self { entrance, thread: Some(thread) };
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
    /// A camera's way in, with up to `in_flight` frames on their way: fewer than its decoder can spare
    /// surfaces, since each holds one.
    ///
    /// # Errors
    /// When the other lanes have the engine's places.
    pub fn lane(&self, in_flight: u32, outcomes: Arc<dyn Outcomes>) -> Result<Lane<S>, NoRoom> {
        Lane::new(&self.entrance, in_flight, outcomes)
    }

    /// Has a ring pinned before its first frame comes, which would otherwise wait for it. Does not wait.
    pub fn prepare(&self, pages: RingPages) {
        self.entrance.ask_to_pin(pages);
    }

    /// To be called about once a second: has rings unpinned and unmapped that nobody else holds any more.
    pub fn housekeep(&self) {
        self.entrance.ask_to_sweep();
    }

    /// How it does.
    #[must_use]
    pub fn status(&self) -> Status {
        self.entrance.status()
    }

    /// Finishes what was handed over, unpins all rings and ends the threads. Waits for copies that run.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.entrance.ask_to_stop();
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

/// The decoder's stream, only ever recorded on.
struct DecodeStream(CUstream);

// SAFETY: the driver takes a stream from any thread.
unsafe impl Send for DecodeStream {}

/// What the engine's thread begins with.
struct Parts<S> {
    gpu: Arc<Gpu>,
    decode_stream: DecodeStream,
    entrance: Arc<Entrance<S>>,
    places: u32,
}

impl<S: Surface + 'static> Parts<S> {
    fn begin(self) -> Result<Worker<S>, StartError> {
        let Self { gpu, decode_stream, entrance, places } = self;
        gpu.bind()?;
        let stream = Arc::new(Stream::new(&gpu)?);
        let decoded = Event::new(&gpu)?;
        let landing = Arc::new(Landing::new(places));
        let reaper = Reaper {
            gpu: Arc::clone(&gpu),
            stream: Arc::clone(&stream),
            landing: Arc::clone(&landing),
        };
        let name = format!("vas-reap-{}", gpu.ordinal());
        let reaper = std::thread::Builder::new().name(name).spawn(move || reaper.run())?;
        let rings = Rings::new(&gpu);
        Ok(Worker { rings, landing, decoded, stream, reaper, decode_stream, entrance, gpu })
    }
}

/// The engine's thread. It alone queues work; what it owns of the driver it gives back at its end, in this
/// order, when the reaper has ended.
struct Worker<S> {
    rings: Rings,
    landing: Arc<Landing<S>>,
    /// Recorded on the decode stream for each frame anew: who waits for it keeps what it stood for.
    decoded: Event,
    stream: Arc<Stream>,
    reaper: JoinHandle<()>,
    decode_stream: DecodeStream,
    entrance: Arc<Entrance<S>>,
    gpu: Arc<Gpu>,
}

impl<S: Surface> Worker<S> {
    fn run(mut self) {
        self.entrance.enrol();
        loop {
            self.see_to_rings();
            match self.entrance.next() {
                Some(job) => self.take(job),
                None if self.entrance.is_stopping() => break,
                None => self.entrance.sleep(),
            }
        }
        self.landing.end();
        let Self { rings, landing, decoded, stream, reaper, entrance, .. } = self;
        if reaper.join().is_err() {
            tracing::error!("the reaper of a download engine panicked");
            stream.settle();
            while let Some(job) = landing.left() {
                job.give_up(Failure::Stopped);
            }
        }
        entrance.close();
        drop((rings, landing, decoded, stream));
        entrance
            .change_status(|status| *status = Status { lost: status.lost, ..Status::default() });
    }

    fn see_to_rings(&mut self) {
        let mut changed = false;
        while let Some(pages) = self.entrance.next_to_pin() {
            if self.rings.is_pinned(&pages).is_none() && self.gpu.lost().is_none() {
                self.rings.pin(pages);
                changed = true;
            }
        }
        if self.entrance.takes_sweep() {
            self.rings.sweep();
            changed = true;
        }
        if changed {
            self.entrance.change_status(|status| self.rings.show(status));
        }
    }

    fn take(&mut self, mut job: Job<S>) {
        let arrival = match self.queue(&mut job) {
            Ok((tools, queued)) => Arrival::Copying { job, tools, queued },
            Err(failure) => Arrival::Refused { job, failure: self.judge(failure) },
        };
        self.landing.add(arrival);
    }

    /// A failed call may be the first sign of a lost device.
    fn judge(&self, failure: Failure) -> Failure {
        if let Failure::Cuda(_) = failure {
            self.stream.look_for_harm();
        }
        self.gpu.lost().map_or(failure, |_| Failure::DeviceLost)
    }

    /// Queues the copy of a frame. In case of an error none of it is queued.
    fn queue(&mut self, job: &mut Job<S>) -> Result<(Tools, Result<(), CudaError>), Failure> {
        if self.gpu.lost().is_some() {
            return Err(Failure::DeviceLost);
        }
        let planes = job.planes()?;
        let geometry = *job.slot.geometry();
        let done = match self.landing.events.pop() {
            Some(event) => event,
            None => Event::new(&self.gpu)?,
        };
        let staging = if self.is_pinned(job) {
            None
        } else {
            Some(self.staging(geometry.picture_bytes() as usize)?)
        };
        let (luma, chroma) = match &staging {
            Some(memory) => {
                let luma = memory.start();
                (luma, luma.wrapping_add(geometry.uv_offset() as usize))
            }
            None => {
                let (luma, chroma) = job.slot.planes_mut();
                (luma.as_mut_ptr(), chroma.as_mut_ptr())
            }
        };
        let tools = Tools { done, staging };
        let pitch = geometry.stride() as usize;
        let (width, height) = (geometry.width() as usize, geometry.height() as usize);
        let first = self.follow_decoder().and_then(|()| {
            // SAFETY: a plane of the slot or of the staging memory, which are the job's until it has landed.
            unsafe { self.stream.copy_down(planes.luma, luma, pitch, width, height) }
        });
        if let Err(error) = first {
            self.landing.keep(tools);
            return Err(error.into());
        }
        let (width, height) =
            (geometry.chroma_row_bytes() as usize, geometry.chroma_rows() as usize);
        // SAFETY: as above.
        let second = unsafe { self.stream.copy_down(planes.chroma, chroma, pitch, width, height) };
        let queued = second.and_then(|()| tools.done.record(&self.stream));
        Ok((tools, queued))
    }

    /// Orders what is queued next after all that the decoder has queued.
    fn follow_decoder(&self) -> Result<(), CudaError> {
        // SAFETY: what `Engine::start` was promised.
        unsafe { self.decoded.record_on(self.decode_stream.0)? };
        self.stream.wait_for(&self.decoded)
    }

    fn is_pinned(&mut self, job: &Job<S>) -> bool {
        let pages = job.slot.pages();
        self.rings.is_pinned(&pages).unwrap_or_else(|| {
            let is_pinned = self.rings.pin(pages);
            self.entrance.change_status(|status| self.rings.show(status));
            is_pinned
        })
    }

    fn staging(&self, bytes: usize) -> Result<Staging, CudaError> {
        let spare = self.landing.stagings.pop();
        let spare_bytes = spare.as_ref().map_or(0, Staging::len);
        match spare {
            Some(spare) if spare_bytes >= bytes => return Ok(spare),
            // Too small, of an earlier epoch.
            other => drop(other),
        }
        let staging = Staging::new(&self.gpu, bytes);
        let more = staging.as_ref().map_or(0, Staging::len);
        self.entrance.change_status(|status| {
            status.staging_bytes = status.staging_bytes - spare_bytes + more;
        });
        staging
    }
}
