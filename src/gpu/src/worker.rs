//! The engine's thread: pins rings and queues copies.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use cudarc::driver::CudaStream;
use vas_cuda::CudaError;
use vas_frame::Geometry;

use crate::convert::{Converted, scratch_bytes};
use crate::cuda::{Event, Gpu, Staging, Stream};
use crate::engine::FindKernels;
use crate::guard::Guard;
use crate::job::{DevicePlane, Job, Planes, Surface};
use crate::outcome::Failure;
use crate::reaper::{Arrival, Landing, Reaper, Tools};
use crate::rings::{Rings, Status};
use crate::submitter::{GpuSubmitter, ToPin};

/// Its name in reports of panics.
const PART: &str = "download engine";

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system has no thread for it.
    #[error("can't start a thread of the download engine: {0}")]
    Thread(#[from] io::Error),
    /// The driver refuses a resource that it needs.
    #[error("can't start the download engine: {0}")]
    Cuda(#[from] CudaError),
    /// Its thread ended before it reported anything.
    #[error("the download engine's thread ended during its start")]
    Ended,
}

/// What the engine's thread starts with.
pub(crate) struct Parts<S> {
    pub(crate) gpu: Arc<Gpu>,
    /// The decoders' stream, on which we only record events.
    pub(crate) decode_stream: Arc<CudaStream>,
    pub(crate) kernels: FindKernels,
    pub(crate) submitter: Arc<GpuSubmitter<S>>,
    pub(crate) permits: u32,
    pub(crate) guard: Arc<Guard>,
}

impl<S: Surface + 'static> Parts<S> {
    pub(crate) fn begin(self) -> Result<Worker<S>, StartError> {
        let Self { gpu, decode_stream, kernels, submitter, permits, guard } = self;
        gpu.bind()?;
        let stream = Arc::new(Stream::new(&gpu)?);
        let decoded = Event::new(&gpu)?;
        let landing = Arc::new(Landing::new(permits));
        let reaper = Reaper {
            gpu: Arc::clone(&gpu),
            stream: Arc::clone(&stream),
            landing: Arc::clone(&landing),
            guard: Arc::clone(&guard),
        };
        let name = format!("vas-reap-{}", gpu.ordinal());
        let reaper = std::thread::Builder::new().name(name).spawn(move || reaper.run())?;
        let rings = Rings::new(&gpu, kernels);
        Ok(Worker { rings, landing, decoded, stream, reaper, decode_stream, submitter, gpu, guard })
    }
}

/// The engine's thread. Only it queues work; its driver objects are released at its end, in this
/// order, when the reaper has ended.
pub(crate) struct Worker<S> {
    rings: Rings,
    landing: Arc<Landing<S>>,
    /// Recorded again on the decode stream for each frame: a wait that was queued keeps its earlier
    /// meaning.
    decoded: Event,
    stream: Arc<Stream>,
    reaper: JoinHandle<()>,
    decode_stream: Arc<CudaStream>,
    submitter: Arc<GpuSubmitter<S>>,
    gpu: Arc<Gpu>,
    guard: Arc<Guard>,
}

impl<S: Surface> Worker<S> {
    pub(crate) fn run(mut self) {
        self.submitter.enrol();
        let guard = Arc::clone(&self.guard);
        loop {
            guard.over(PART, || self.see_to_rings());
            match self.submitter.next() {
                Some(job) => self.take(job),
                None if self.submitter.is_stopping() => break,
                None => self.submitter.sleep(),
            }
        }
        self.landing.end();
        let Self { rings, landing, decoded, stream, reaper, submitter, .. } = self;
        if reaper.join().is_err() {
            tracing::error!("the reaper of a download engine panicked");
            stream.settle();
            landing.give_up_all();
        }
        submitter.close();
        drop((rings, landing, decoded, stream));
        submitter
            .change_status(|status| *status = Status { lost: status.lost, ..Status::default() });
    }

    fn see_to_rings(&mut self) {
        let mut changed = false;
        while let Some(ToPin { pages, scratch_bytes }) = self.submitter.next_to_pin() {
            if self.gpu.lost().is_some() {
                continue;
            }
            if self.rings.is_pinned(&pages).is_none() {
                self.rings.pin(pages.clone());
                changed = true;
            }
            if let Some(bytes) = scratch_bytes {
                // What is refused is reported with the first frame.
                changed |= self.rings.prepare(&pages, bytes);
            }
        }
        while let Some(pages) = self.submitter.next_to_release() {
            self.rings.leave(&pages);
            changed = true;
        }
        if self.submitter.takes_sweep() {
            self.sweep();
            changed = true;
        }
        // After the frames that go into them.
        if self.rings.have_leaving() && self.landing.begins_to_unpin() {
            self.landing.add(Arrival::Unpin(self.rings.take_leaving()));
        }
        if changed {
            self.submitter.change_status(|status| self.rings.show(status));
        }
    }

    /// A lost device gives up all rings: pages are pinned for the whole process, and another device
    /// that takes over a camera must be able to pin them.
    fn sweep(&mut self) {
        if self.gpu.lost().is_none() {
            self.rings.sweep();
            return self.rings.retry();
        }
        self.rings.leave_all();
    }

    fn take(&mut self, mut job: Job<S>) {
        let guard = Arc::clone(&self.guard);
        let queued = guard.over(PART, || self.queue(&mut job).map_err(|why| self.judge(why)));
        let arrival = match queued {
            Some(Ok((tools, queued))) => Arrival::Copying { job, tools, queued },
            Some(Err(failure)) => Arrival::Refused { job, failure },
            // Nothing was queued: panics of the copies themselves are caught separately.
            None => Arrival::Refused { job, failure: Failure::Internal },
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

    /// Queues the copy of a frame. On an error nothing of it is queued.
    fn queue(&mut self, job: &mut Job<S>) -> Result<(Tools, Result<(), Failure>), Failure> {
        if self.gpu.lost().is_some() {
            return Err(Failure::DeviceLost);
        }
        let (planes, geometry) = (job.planes()?, *job.slot.geometry());
        let converted = Converted::of(&planes, job.plan)?;
        let tools = self.tools(job)?;
        let (luma, chroma) = destination(job, &tools);
        let guard = Arc::clone(&self.guard);
        let first = guard.over(PART, || match converted {
            None => {
                follow_decoder(&self.decoded, &self.decode_stream, &self.stream)?;
                let planes = [planes.luma, planes.chroma];
                // SAFETY: a plane of the slot or of the staging memory, which belong to the job until
                // it has landed.
                unsafe { self.copy_plane(0, planes, luma, &geometry)? };
                Ok((planes, 1))
            }
            Some(converted) => Ok((self.convert(job, &planes, converted)?, 0)),
        });
        let (planes, copied) = match first {
            Some(Ok(first)) => first,
            failed => {
                if failed.is_none() {
                    // It may be queued or not: after this it has ended, and nothing of it is left.
                    guard.over(PART, || self.stream.settle());
                }
                self.landing.keep(tools);
                return Err(failed.and_then(Result::err).unwrap_or(Failure::Internal));
            }
        };
        let queued: Option<Result<(), CudaError>> = guard.over(PART, || {
            for (plane, to) in [luma, chroma].into_iter().enumerate().skip(copied) {
                // SAFETY: as above.
                unsafe { self.copy_plane(plane, planes, to, &geometry)? };
            }
            tools.done.record(&self.stream)
        });
        // The reaper first waits for running copies.
        Ok((tools, queued.map_or(Err(Failure::Internal), |queued| queued.map_err(Failure::from))))
    }

    /// Queues the conversion of a picture; returns the planes to be copied.
    fn convert(
        &mut self,
        job: &Job<S>,
        planes: &Planes,
        converted: Converted,
    ) -> Result<[DevicePlane; 2], Failure> {
        let (pages, geometry) = (job.slot.pages(), job.slot.geometry());
        if self.rings.prepare(&pages, scratch_bytes(geometry)) {
            self.submitter.change_status(|status| self.rings.show(status));
        }
        let Self { rings, decoded, decode_stream, stream, .. } = self;
        let conversion = rings.conversion(&pages)?;
        follow_decoder(decoded, decode_stream, stream)?;
        Ok(conversion.queue(stream, planes, converted, geometry)?)
    }

    /// Queues the copy of luma (0) or chroma (1).
    ///
    /// # Safety
    /// As for [`Stream::copy_down`], with the rows of that plane of a slot.
    unsafe fn copy_plane(
        &self,
        plane: usize,
        from: [DevicePlane; 2],
        to: *mut u8,
        geometry: &Geometry,
    ) -> Result<(), CudaError> {
        let (row_bytes, rows) = match plane {
            0 => (geometry.width(), geometry.height()),
            _ => (geometry.chroma_row_bytes(), geometry.chroma_rows()),
        };
        let pitch = geometry.stride() as usize;
        // SAFETY: the caller's.
        unsafe { self.stream.copy_down(from[plane], to, pitch, row_bytes as usize, rows as usize) }
    }

    fn tools(&mut self, job: &Job<S>) -> Result<Tools, CudaError> {
        let done = match self.landing.events.pop() {
            Some(event) => event,
            None => Event::new(&self.gpu)?,
        };
        let staging = if self.is_pinned(job) {
            None
        } else {
            Some(self.staging(job.slot.geometry().picture_bytes() as usize)?)
        };
        Ok(Tools { done, staging })
    }

    fn is_pinned(&mut self, job: &Job<S>) -> bool {
        let pages = job.slot.pages();
        self.rings.is_pinned(&pages).unwrap_or_else(|| {
            let is_pinned = self.rings.pin(pages);
            self.submitter.change_status(|status| self.rings.show(status));
            is_pinned
        })
    }

    fn staging(&self, bytes: usize) -> Result<Staging, CudaError> {
        let spare = self.landing.stagings.pop();
        let spare_bytes = spare.as_ref().map_or(0, Staging::len);
        match spare {
            Some(spare) if spare_bytes >= bytes => return Ok(spare),
            // Too small: from an earlier epoch.
            other => drop(other),
        }
        let staging = Staging::new(&self.gpu, bytes);
        let more = staging.as_ref().map_or(0, Staging::len);
        self.submitter.change_status(|status| {
            status.staging_bytes = status.staging_bytes - spare_bytes + more;
        });
        staging
    }
}

/// Orders what is queued next on `stream` after all that the decoder has queued.
fn follow_decoder(
    decoded: &Event,
    decode_stream: &CudaStream,
    stream: &Stream,
) -> Result<(), CudaError> {
    decoded.record_on(decode_stream)?;
    stream.wait_for(decoded)
}

/// Where a frame's planes are copied to: its slot, or the staging memory, which has the same
/// layout.
fn destination<S>(job: &mut Job<S>, tools: &Tools) -> (*mut u8, *mut u8) {
    match &tools.staging {
        Some(staging) => {
            let uv_offset = job.slot.geometry().uv_offset() as usize;
            (staging.start(), staging.start().wrapping_add(uv_offset))
        }
        None => {
            let (luma, chroma) = job.slot.planes_mut();
            (luma.as_mut_ptr(), chroma.as_mut_ptr())
        }
    }
}
