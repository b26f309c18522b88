//! NVIDIA GPUs: finds them, and opens one context for each, which FFmpeg's decoders and downloads share.

mod download;
mod driver;
mod error;
mod ledger;
mod loading;

use std::collections::BTreeMap;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use cudarc::driver::sys::CUstream;
use cudarc::driver::{CudaContext, CudaStream, DriverError};
use ffmpeg_sys_next as ffi;
use vas_cuda::{CudaError, Kernels, NoKernels, NvdecCaps, Unavailable, Wanted, code};

use self::driver::{Driver, describe};
use crate::av::{check, init};
use crate::log;
use vas_surfaces::SurfaceMemory;

pub(crate) use download::Downloader;
pub use error::GpuError;
pub(crate) use ledger::Grant;
pub use ledger::{GpuLedger, GpuUsage, Room};
use loading::Loading;

/// A GPU in use: its primary context, and the stream on which NVDEC outputs its pictures.
///
/// A process has one for each GPU, shared by all decoders and downloads. The context lives as long as
/// this and every frame that was decoded with it.
pub struct CudaDevice {
    held: Arc<Held>,
    /// FFmpeg's view of the same context and stream.
    hardware: HardwareDevice,
    /// What decoders take of its memory.
    ledger: Arc<GpuLedger>,
    /// The error with which the device was first found lost.
    lost: OnceLock<GpuError>,
    /// Loaded when the first decoder opens whose pictures must be converted.
    kernels: Mutex<Loading<Arc<Kernels>>>,
}

/// The part that FFmpeg's objects also keep alive.
struct Held {
    ordinal: usize,
    name: String,
    /// What its NVDEC decodes; `None` if the driver does not say.
    nvdec: Option<NvdecCaps>,
    decode_stream: Arc<CudaStream>,
    context: Arc<CudaContext>,
}

/// A GPU's memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuMemory {
    /// Free bytes.
    pub free: usize,
    /// Total bytes.
    pub total: usize,
}

impl CudaDevice {
    /// The number of GPUs.
    ///
    /// # Errors
    /// [`GpuError::NoLibrary`], [`GpuError::MissingSymbol`], [`GpuError::NoDevice`].
    pub fn count() -> Result<usize, GpuError> {
        Driver::get().map(Driver::count)
    }

    /// Opens a GPU by its number, from 0 in the driver's order (`CUDA_VISIBLE_DEVICES` applies).
    ///
    /// The first call creates the context (hundreds of MiB of device memory); further calls share it
    /// until the last user drops it.
    ///
    /// # Errors
    /// Those of [`count`](Self::count), [`GpuError::NoSuchDevice`], [`GpuError::NoMemory`],
    /// [`GpuError::DeviceLost`] while a lost device is still held,
    /// [`GpuError::Unsupported`] if this FFmpeg was built without CUDA, [`GpuError::Failed`].
    pub fn open(ordinal: usize) -> Result<Arc<Self>, GpuError> {
        static OPEN: Mutex<BTreeMap<usize, Weak<CudaDevice>>> = Mutex::new(BTreeMap::new());
        let count = Self::count()?;
        if ordinal >= count {
            return Err(GpuError::NoSuchDevice { ordinal, count });
        }
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = open.get(&ordinal).and_then(Weak::upgrade) {
            device.health()?;
            return Ok(device);
        }
        let device = Arc::new(Self::create(ordinal)?);
        open.insert(ordinal, Arc::downgrade(&device));
        Ok(device)
    }

    fn create(ordinal: usize) -> Result<Self, GpuError> {
        init();
        let driver = Driver::get()?;
        match driver.set_blocking_sync(ordinal) {
            Ok(()) => {}
            // The process already has a context. It works, but waiting threads may spin.
            Err(error) if error.code == code::PRIMARY_CONTEXT_ACTIVE => {
                tracing::warn!(gpu = ordinal, "{}", describe(&error));
            }
            Err(error) => return Err(GpuError::Failed { ordinal, cause: describe(&error) }),
        }
        let failed = |call, error: DriverError| failed(ordinal, driver.error(call, error.0 as u32));
        let context = CudaContext::new(ordinal).map_err(|error| failed("context", error))?;
        // SAFETY: callers that share device memory between streams order the streams by events, as
        // `context` requires.
        unsafe { context.disable_event_tracking() };
        let name = context.name().map_err(|error| failed("cuDeviceGetName", error))?;
        let decode_stream =
            context.new_stream().map_err(|error| failed("cuStreamCreate", error))?;
        let nvdec = driver.nvdec(&context, ordinal, &name);
        let held = Arc::new(Held { ordinal, name, nvdec, decode_stream, context });
        let hardware = HardwareDevice::new(&held)?;
        Ok(Self {
            held,
            hardware,
            ledger: Arc::default(),
            lost: OnceLock::new(),
            kernels: Mutex::default(),
        })
    }

    /// The GPU's number.
    pub fn ordinal(&self) -> usize {
        self.held.ordinal
    }

    /// The driver's name for it.
    pub fn name(&self) -> &str {
        &self.held.name
    }

    /// What its NVDEC decodes, as the driver answered when this was opened; `None` if it did not.
    pub fn nvdec(&self) -> Option<&NvdecCaps> {
        self.held.nvdec.as_ref()
    }

    /// Whether its NVDEC decodes a stream, as far as both are known. Makes no driver call.
    ///
    /// # Errors
    /// [`GpuError::Unsupported`], with what it does decode.
    pub(crate) fn decodes(&self, wanted: Option<Wanted>) -> Result<(), GpuError> {
        let (Some(nvdec), Some(wanted)) = (self.nvdec(), wanted) else { return Ok(()) };
        nvdec.check(wanted).map_err(|no| GpuError::Unsupported {
            what: format!("GPU {} ({}) {no}", self.ordinal(), self.name()),
        })
    }

    /// Its memory, as of now.
    ///
    /// # Errors
    /// [`GpuError::DeviceLost`].
    pub fn memory(&self) -> Result<GpuMemory, GpuError> {
        let driver = Driver::get()?;
        // SAFETY: a context that `held` keeps alive.
        let answer = unsafe { driver.memory(self.held.context.cu_ctx()) };
        answer.map(|(free, total)| GpuMemory { free, total }).map_err(|error| self.lost(&error))
    }

    /// What this process's decoders take of its memory.
    pub fn ledger(&self) -> &Arc<GpuLedger> {
        &self.ledger
    }

    /// Whether a decoder with these surfaces would fit, with so many bytes for a converted picture. Waits for no other
    /// decoder.
    ///
    /// # Errors
    /// [`GpuError::NoMemory`], with what is needed, what is free and what has the rest;
    /// [`GpuError::DeviceLost`].
    pub fn has_room(
        &self,
        need: SurfaceMemory,
        converted: u64,
        room: Room,
    ) -> Result<(), GpuError> {
        self.ledger.check(self.ordinal(), (need, converted), room, || self.memory())
    }

    /// Admits a decoder with these surfaces, which is about to be created.
    ///
    /// # Errors
    /// As [`has_room`](Self::has_room).
    pub(crate) fn admit(&self, need: SurfaceMemory, converted: u64) -> Result<Grant, GpuError> {
        self.ledger.admit(self.ordinal(), (need, converted), || self.memory())
    }

    /// Marks the device as lost, permanently: calls of other users may still succeed for a while. Decoders on it fail
    /// from now on, and it can't be opened again until all users have dropped it.
    pub fn mark_lost(&self, cause: String) {
        let _first = self.lost.set(GpuError::DeviceLost { ordinal: self.held.ordinal, cause });
    }

    /// Whether the device is not marked as lost. Makes no driver call.
    ///
    /// # Errors
    /// [`GpuError::DeviceLost`].
    pub fn known_health(&self) -> Result<(), GpuError> {
        self.lost.get().map_or(Ok(()), |lost| Err(lost.clone()))
    }

    /// Queries whether the device still works, and marks it as lost otherwise.
    ///
    /// # Errors
    /// [`GpuError::DeviceLost`]: errors of a context are sticky, and every call returns them.
    pub fn health(&self) -> Result<(), GpuError> {
        self.known_health()?;
        let driver = Driver::get()?;
        // SAFETY: a context and a stream of it, both of which `held` keeps alive.
        let answer = unsafe { driver.query(self.held.context.cu_ctx(), self.decode_stream()) };
        answer.map_err(|error| self.lost(&error))
    }

    /// The kernels that convert pictures, in this device's context. The first call loads them, which takes a while.
    ///
    /// # Errors
    /// The driver lacks a function or refuses them; it is asked again only if memory was short, after a while.
    pub fn kernels(&self) -> Result<Arc<Kernels>, NoKernels> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        kernels.get(Instant::now(), || {
            let driver = vas_cuda::Driver::probe().map_err(NoKernels::from)?;
            Kernels::load(driver, &self.held.context).map(Arc::new)
        })
    }

    /// Checks that pictures can be converted, before a decoder is opened for pictures that must be.
    ///
    /// # Errors
    /// [`GpuError::NoKernels`], [`GpuError::NoMemory`], [`GpuError::DeviceLost`].
    pub fn check_kernels(&self) -> Result<(), GpuError> {
        let Err(why) = self.kernels() else { return Ok(()) };
        self.health()?;
        let ordinal = self.held.ordinal;
        Err(match why {
            NoKernels::Driver(Unavailable::MissingSymbol(symbol)) => GpuError::NoKernels {
                ordinal,
                cause: format!("the driver has no function {symbol}"),
            },
            NoKernels::Driver(why) => GpuError::NoKernels { ordinal, cause: why.to_string() },
            NoKernels::Cuda(error) if error.code == code::OUT_OF_MEMORY => {
                let GpuMemory { free, total } = self.memory()?;
                GpuError::NoMemory { ordinal, free, total, cause: describe(&error) }
            }
            NoKernels::Cuda(error) => GpuError::NoKernels { ordinal, cause: describe(&error) },
        })
    }

    /// Its primary context, created with blocking waits. cudarc's event tracking is off: callers that
    /// use memory in more than one stream must order the streams by events.
    pub fn context(&self) -> &Arc<CudaContext> {
        &self.held.context
    }

    /// The stream on which decoded surfaces become readable. Before another stream uses a surface, it
    /// must wait for an event that is recorded here after the frame was received. Queue nothing else
    /// here: decoding would wait for it.
    pub fn decode_stream(&self) -> CUstream {
        self.held.decode_stream.cu_stream()
    }

    /// The same stream, as a shared handle.
    pub fn shared_decode_stream(&self) -> Arc<CudaStream> {
        Arc::clone(&self.held.decode_stream)
    }

    /// A new reference, owned by the caller's decoder.
    pub(crate) fn hardware_ref(&self) -> *mut ffi::AVBufferRef {
        // SAFETY: a valid reference with an atomic count; null when out of memory, which FFmpeg's
        // decoders treat as no device.
        unsafe { ffi::av_buffer_ref(self.hardware.0.as_ptr()) }
    }

    fn lost(&self, error: &CudaError) -> GpuError {
        self.mark_lost(describe(error));
        self.known_health().expect_err("was just marked as lost")
    }
}

impl fmt::Debug for CudaDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CudaDevice")
            .field("ordinal", &self.held.ordinal)
            .field("name", &self.held.name)
            .finish_non_exhaustive()
    }
}

/// Classifies a failure to create a context.
fn failed(ordinal: usize, error: CudaError) -> GpuError {
    let cause = describe(&error);
    match error.code {
        // Without a context the driver does not report free memory.
        code::OUT_OF_MEMORY => GpuError::NoMemory { ordinal, free: 0, total: 0, cause },
        _ => GpuError::Failed { ordinal, cause },
    }
}

/// FFmpeg's reference to the device (AVHWDeviceContext).
struct HardwareDevice(NonNull<ffi::AVBufferRef>);

// SAFETY: the count is atomic and the device is not written after `new`; FFmpeg's decoders and
// frames use it from any thread.
unsafe impl Send for HardwareDevice {}
// SAFETY: as above; a shared reference is only used to create another reference.
unsafe impl Sync for HardwareDevice {}

impl HardwareDevice {
    /// Passes the context and the stream to FFmpeg. FFmpeg never destroys them, and holds `held` until
    /// its last decoder, frame pool and frame are freed.
    fn new(held: &Arc<Held>) -> Result<Self, GpuError> {
        // SAFETY: takes a number; null if this FFmpeg was built without CUDA or memory is exhausted.
        let buffer =
            unsafe { ffi::av_hwdevice_ctx_alloc(ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA) };
        let Some(buffer) = NonNull::new(buffer) else {
            let what = "this FFmpeg was built without CUDA".into();
            return Err(GpuError::Unsupported { what });
        };
        let device = Self(buffer);
        // SAFETY: the buffer of a new device holds an AVHWDeviceContext, whose `hwctx` is an
        // AVCUDADeviceContext for this type. The fields are set before initialization, as FFmpeg
        // requires; `release` drops the Arc in `user_opaque`, and FFmpeg calls it once.
        let code = unsafe {
            let raw = (*buffer.as_ptr()).data.cast::<ffi::AVHWDeviceContext>();
            let cuda = (*raw).hwctx.cast::<ffi::AVCUDADeviceContext>();
            (*cuda).cuda_ctx = held.context.cu_ctx().cast();
            (*cuda).stream = held.decode_stream.cu_stream().cast();
            (*raw).user_opaque = Arc::into_raw(Arc::clone(held)).cast_mut().cast();
            (*raw).free = Some(release);
            log::capture(|| ffi::av_hwdevice_ctx_init(buffer.as_ptr()))
        };
        check(code).map(|_| device).map_err(|error| {
            let cause = format!("FFmpeg: {error} ({})", log::captured().join("; "));
            GpuError::Failed { ordinal: held.ordinal, cause }
        })
    }
}

impl Drop for HardwareDevice {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: our own reference, dropped once.
        unsafe { ffi::av_buffer_unref(&mut pointer) };
    }
}

/// The number of a device that [`HardwareDevice::new`] created.
///
/// # Safety
/// `device` is null or such a device, and alive.
pub(crate) unsafe fn ordinal_of(device: *const ffi::AVHWDeviceContext) -> Option<usize> {
    // SAFETY: what `HardwareDevice::new` stored there lives until `release`, after the device's last user.
    unsafe { Some(device.as_ref()?.user_opaque.cast::<Held>().as_ref()?.ordinal) }
}

/// FFmpeg calls this when it frees the device and no longer uses the context.
unsafe extern "C" fn release(device: *mut ffi::AVHWDeviceContext) {
    // SAFETY: the pointer comes from an Arc in `HardwareDevice::new` and is converted back once. Dropping it
    // makes driver calls, whose failures cudarc records; it does not unwind.
    drop(unsafe { Arc::from_raw((*device).user_opaque.cast::<Held>().cast_const()) });
}
