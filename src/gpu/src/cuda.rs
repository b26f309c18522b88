//! Owned objects of the driver: streams, events, pinned and device memory; each releases itself.
//!
//! House rules. All of it is used and dropped on threads that have made the context current
//! ([`Gpu::bind`]), which are the engine's two. The code that drops an object ensures that the
//! device no longer uses it.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Arc, OnceLock};

use cudarc::driver::sys::{CUDA_MEMCPY2D, CUevent, CUmemorytype, CUstream};
use cudarc::driver::{CudaContext, CudaStream};
use vas_cuda::{CudaError, Driver, Functions, Kernels, code};
use vas_frame::RingPages;
use vas_scale::launch::{Kernel, Launch};

use crate::job::DevicePlane;

/// `CU_STREAM_NON_BLOCKING`: no order with the default stream.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_BLOCKING_SYNC`, so that waiting threads sleep, and `CU_EVENT_DISABLE_TIMING`.
const BLOCKING_WITHOUT_TIME: u32 = 1 | 2;
/// `CU_MEMHOSTREGISTER_PORTABLE`: pinned for every context, in case cameras of two GPUs ever share
/// pages.
const PORTABLE: u32 = 1;

/// Called once, when the device is lost.
pub(crate) type OnLost = Box<dyn Fn(&CudaError) + Send + Sync>;

/// A device's context, borrowed.
pub(crate) struct Gpu {
    functions: &'static Functions,
    context: Arc<CudaContext>,
    lost: OnceLock<CudaError>,
    on_lost: OnLost,
}

/// The state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Idle,
    Busy,
    /// The context no longer answers, so nothing runs on it.
    Dead(CudaError),
}

impl Gpu {
    pub(crate) fn new(driver: Driver, context: Arc<CudaContext>, on_lost: OnLost) -> Self {
        Self { functions: driver.functions(), context, lost: OnceLock::new(), on_lost }
    }

    /// Makes the context current on the calling thread.
    pub(crate) fn bind(&self) -> Result<(), CudaError> {
        // SAFETY: the context is retained as long as we hold it.
        unsafe { self.functions.cuCtxSetCurrent(self.context.cu_ctx()) }
    }

    pub(crate) fn ordinal(&self) -> usize {
        self.context.ordinal()
    }

    pub(crate) fn lost(&self) -> Option<CudaError> {
        self.lost.get().copied()
    }

    fn lose(&self, error: CudaError) {
        if self.lost.set(error).is_ok() {
            let device = self.context.ordinal();
            tracing::error!("GPU {device} is lost to this process: {error}");
            (self.on_lost)(&error);
        }
    }

    /// Logs a failed release, unless the device is lost.
    fn note(&self, given_back: Result<(), CudaError>) {
        if let Err(error) = given_back
            && self.lost().is_none()
        {
            tracing::warn!("GPU {}: {error}", self.context.ordinal());
        }
    }
}

/// A stream of our own.
pub(crate) struct Stream {
    gpu: Arc<Gpu>,
    raw: CUstream,
}

// SAFETY: the driver takes a stream from any thread.
unsafe impl Send for Stream {}
// SAFETY: as above, and from several at a time.
unsafe impl Sync for Stream {}

impl Stream {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Result<Self, CudaError> {
        let mut raw = null_mut();
        // SAFETY: the house rules; the value written to is ours.
        unsafe { gpu.functions.cuStreamCreate(&mut raw, NON_BLOCKING)? };
        Ok(Self { gpu: Arc::clone(gpu), raw })
    }

    /// Orders all later work here after what the event stands for now, whatever it is recorded for
    /// later.
    pub(crate) fn wait_for(&self, event: &Event) -> Result<(), CudaError> {
        // SAFETY: both are alive.
        unsafe { self.gpu.functions.cuStreamWaitEvent(self.raw, event.raw, 0) }
    }

    /// Queues a launch of a kernel.
    ///
    /// # Safety
    /// The planes in `launch` are device memory of its sizes and pitches, and stay so, with nothing else writing to them,
    /// until the stream is past this launch.
    pub(crate) unsafe fn launch(
        &self,
        kernels: &Kernels,
        kernel: Kernel,
        launch: &Launch,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's; both sides number the kernels alike (a test of `convert`).
        unsafe { kernels.launch(kernel as usize, launch.shape(), self.raw, launch) }
    }

    /// Queues a copy of rows from the device to `to`.
    ///
    /// # Safety
    /// `to` is a plane of `rows` rows of `pitch` bytes each, pinned, and not accessed by anything
    /// else until the stream is past this copy.
    pub(crate) unsafe fn copy_down(
        &self,
        from: DevicePlane,
        to: *mut u8,
        pitch: usize,
        row_bytes: usize,
        rows: usize,
    ) -> Result<(), CudaError> {
        let copy = CUDA_MEMCPY2D {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
            srcHost: std::ptr::null(),
            srcDevice: from.address,
            srcArray: null_mut(),
            srcPitch: from.pitch,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
            dstHost: to.cast(),
            dstDevice: 0,
            dstArray: null_mut(),
            dstPitch: pitch,
            WidthInBytes: row_bytes,
            Height: rows,
        };
        // SAFETY: the caller's, for the destination; the driver checks addresses of the device itself.
        unsafe { self.gpu.functions.cuMemcpy2DAsync_v2(&copy, self.raw) }
    }

    fn activity(&self) -> Activity {
        // SAFETY: the stream is alive.
        match unsafe { self.gpu.functions.cuStreamQuery(self.raw) } {
            Ok(()) => Activity::Idle,
            Err(error) if error.code == code::NOT_READY => Activity::Busy,
            Err(error) => Activity::Dead(error),
        }
    }

    /// Call this when a call failed: a damaged context answers each later call with an error.
    pub(crate) fn look_for_harm(&self) {
        if let Activity::Dead(error) = self.activity() {
            self.gpu.lose(error);
        }
    }

    /// Waits until nothing runs here, after a call failed that would have reported it.
    pub(crate) fn settle(&self) {
        loop {
            match self.activity() {
                Activity::Idle => return,
                Activity::Dead(error) => return self.gpu.lose(error),
                // The blocking call has just failed, so poll.
                Activity::Busy => std::thread::sleep(std::time::Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: ours, once. Work that is queued is still done.
        self.gpu.note(unsafe { self.gpu.functions.cuStreamDestroy_v2(self.raw) });
    }
}

/// An event in a stream's order.
pub(crate) struct Event {
    gpu: Arc<Gpu>,
    raw: CUevent,
}

// SAFETY: the driver takes an event from any thread.
unsafe impl Send for Event {}

impl Event {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Result<Self, CudaError> {
        let mut raw = null_mut();
        // SAFETY: the house rules; the value written to is ours.
        unsafe { gpu.functions.cuEventCreate(&mut raw, BLOCKING_WITHOUT_TIME)? };
        Ok(Self { gpu: Arc::clone(gpu), raw })
    }

    /// Makes the event stand for all that is queued on the stream so far.
    pub(crate) fn record(&self, stream: &Stream) -> Result<(), CudaError> {
        // SAFETY: both are alive.
        unsafe { self.gpu.functions.cuEventRecord(self.raw, stream.raw) }
    }

    /// Like [`Event::record`], on a stream that is not ours.
    pub(crate) fn record_on(&self, stream: &CudaStream) -> Result<(), CudaError> {
        // SAFETY: both are alive; the driver rejects an event of another context.
        unsafe { self.gpu.functions.cuEventRecord(self.raw, stream.cu_stream()) }
    }

    /// Sleeps until all that it stands for is done.
    pub(crate) fn synchronize(&self) -> Result<(), CudaError> {
        // SAFETY: the event is alive.
        unsafe { self.gpu.functions.cuEventSynchronize(self.raw) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, once; the driver keeps what still waits for it.
        self.gpu.note(unsafe { self.gpu.functions.cuEventDestroy_v2(self.raw) });
    }
}

/// A ring's pages, pinned.
pub(crate) struct Registration {
    gpu: Arc<Gpu>,
    pages: RingPages,
}

impl Registration {
    pub(crate) fn new(gpu: &Arc<Gpu>, pages: RingPages) -> Result<Self, (CudaError, RingPages)> {
        let (start, bytes) = (pages.start().cast::<c_void>(), pages.bytes());
        // SAFETY: whole pages, mapped as long as `pages` lives.
        match unsafe { gpu.functions.cuMemHostRegister_v2(start, bytes, PORTABLE) } {
            Ok(()) => Ok(Self { gpu: Arc::clone(gpu), pages }),
            Err(error) => Err((error, pages)),
        }
    }

    pub(crate) fn pages(&self) -> &RingPages {
        &self.pages
    }

    pub(crate) fn pages_mut(&mut self) -> &mut RingPages {
        &mut self.pages
    }
}

impl Drop for Registration {
    /// Before the pages can be unmapped: `pages` is dropped after this.
    fn drop(&mut self) {
        // SAFETY: registered by us, once.
        let given_back =
            unsafe { self.gpu.functions.cuMemHostUnregister(self.pages.start().cast()) };
        self.gpu.note(given_back);
    }
}

/// Device memory for one converted picture.
pub(crate) struct Scratch {
    gpu: Arc<Gpu>,
    kernels: Arc<Kernels>,
    address: u64,
    bytes: usize,
}

impl Scratch {
    pub(crate) fn new(
        gpu: &Arc<Gpu>,
        kernels: &Arc<Kernels>,
        bytes: usize,
    ) -> Result<Self, CudaError> {
        let mut address = 0;
        // SAFETY: the house rules; the value written to is ours.
        unsafe { kernels.functions().cuMemAlloc_v2(&mut address, bytes)? };
        Ok(Self { gpu: Arc::clone(gpu), kernels: Arc::clone(kernels), address, bytes })
    }

    pub(crate) fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: allocated by us, once.
        self.gpu.note(unsafe { self.kernels.functions().cuMemFree_v2(self.address) });
    }
}

/// Pinned memory from the driver, for pictures whose ring could not be pinned.
pub(crate) struct Staging {
    gpu: Arc<Gpu>,
    memory: *mut u8,
    bytes: usize,
}

// SAFETY: memory like any other, owned.
unsafe impl Send for Staging {}

impl Staging {
    pub(crate) fn new(gpu: &Arc<Gpu>, bytes: usize) -> Result<Self, CudaError> {
        let mut memory = null_mut();
        // SAFETY: the house rules; the value written to is ours.
        unsafe { gpu.functions.cuMemAllocHost_v2(&mut memory, bytes)? };
        let memory = memory.cast::<u8>();
        // Zeroed, so that no earlier contents leak, and initialised from here on.
        // SAFETY: the driver allocated that many bytes.
        unsafe { memory.write_bytes(0, bytes) };
        Ok(Self { gpu: Arc::clone(gpu), memory, bytes })
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.memory
    }

    /// The picture that was copied down.
    ///
    /// # Safety
    /// No copy into it is queued or runs.
    pub(crate) unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: initialised by `new`; ours as long as we live; the caller's for the rest.
        unsafe { std::slice::from_raw_parts(self.memory, self.bytes) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // SAFETY: allocated by us, once.
        self.gpu.note(unsafe { self.gpu.functions.cuMemFreeHost(self.memory.cast()) });
    }
}
