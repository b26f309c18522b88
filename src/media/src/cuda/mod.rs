//! NVIDIA GPUs: what is there, and one context a GPU that FFmpeg's decoders and others share.

mod download;
mod driver;
mod error;

use std::collections::BTreeMap;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use cudarc::driver::sys::CUstream;
use cudarc::driver::{CudaContext, CudaStream, DriverError};
use ffmpeg_sys_next as ffi;
use vas_cuda::{CudaError, code};

use self::driver::{Driver, words};
use crate::av::{check, init};
use crate::log;
pub(crate) use download::Downloader;
pub use error::GpuError;

/// A GPU in use: its primary context, and the stream on which NVDEC hands its pictures over.
///
/// A process has one for each GPU, however many decoders and downloads it serves. The context lives
/// as long as this or any frame that was decoded with it.
pub struct CudaDevice {
    held: Arc<Held>,
    /// FFmpeg's view of the same context and stream.
    hardware: HardwareDevice,
    /// What was answered when it was found lost, by whomever.
    lost: OnceLock<GpuError>,
}

/// What FFmpeg's objects keep alive as well.
struct Held {
    ordinal: usize,
    name: String,
    decode_stream: Arc<CudaStream>,
    context: Arc<CudaContext>,
}

/// Memory of a GPU in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuMemory {
    /// What nobody uses.
    pub free: usize,
    /// What there is.
    pub total: usize,
}

impl CudaDevice {
    /// How many GPUs there are.
    ///
    /// # Errors
    /// [`GpuError::NoLibrary`], [`GpuError::MissingSymbol`], [`GpuError::NoDevice`].
    pub fn count() -> Result<usize, GpuError> {
        Driver::get().map(Driver::count)
    }

    /// The GPU of a number, from 0 in the driver's order (`CUDA_VISIBLE_DEVICES` applies).
    ///
    /// The first call makes the context (hundreds of MiB of device memory); further calls share it
    /// until the last user has let go.
    ///
    /// # Errors
    /// Those of [`count`](Self::count), [`GpuError::NoSuchDevice`], [`GpuError::NoMemory`],
    /// [`GpuError::DeviceLost`] while others still hold a device that was lost,
    /// [`GpuError::Unsupported`] when this FFmpeg was built without CUDA, [`GpuError::Failed`].
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
            // Somebody else in the process was first: it works, but waiting threads may spin.
            Err(error) if error.code == code::PRIMARY_CONTEXT_ACTIVE => {
                tracing::warn!(gpu = ordinal, "{}", words(&error));
            }
            Err(error) => return Err(GpuError::Failed { ordinal, said: words(&error) }),
        }
        let failed = |call, error: DriverError| failed(ordinal, driver.error(call, error.0 as u32));
        let context = CudaContext::new(ordinal).map_err(|error| failed("context", error))?;
        // SAFETY: whoever shares device memory between streams orders them by events itself, as
        // `context` tells its callers.
        unsafe { context.disable_event_tracking() };
        let name = context.name().map_err(|error| failed("cuDeviceGetName", error))?;
        let decode_stream =
            context.new_stream().map_err(|error| failed("cuStreamCreate", error))?;
        let held = Arc::new(Held { ordinal, name, decode_stream, context });
        let hardware = HardwareDevice::new(&held)?;
        Ok(Self { held, hardware, lost: OnceLock::new() })
    }

    /// Its number.
    pub fn ordinal(&self) -> usize {
        self.held.ordinal
    }

    /// What the driver calls it.
    pub fn name(&self) -> &str {
        &self.held.name
    }

    /// Its memory now.
    ///
    /// # Errors
    /// [`GpuError::DeviceLost`].
    pub fn memory(&self) -> Result<GpuMemory, GpuError> {
        let driver = Driver::get()?;
        // SAFETY: a context that `held` keeps alive.
        let answer = unsafe { driver.memory(self.held.context.cu_ctx()) };
        answer.map(|(free, total)| GpuMemory { free, total }).map_err(|error| self.lost(&error))
    }

    /// Says of a device that it is lost, for who met with it first: not everybody's calls fail at once. It stays
    /// lost. Decoders on it fail from now on, and it is not opened again before all have let go of it.
    pub fn tell_lost(&self, said: String) {
        let _first = self.lost.set(GpuError::DeviceLost { ordinal: self.held.ordinal, said });
    }

    /// Whether somebody has found it lost. Asks no driver.
    ///
    /// # Errors
    /// [`GpuError::DeviceLost`].
    pub fn known_health(&self) -> Result<(), GpuError> {
        self.lost.get().map_or(Ok(()), |lost| Err(lost.clone()))
    }

    /// Whether it still works.
    ///
    /// # Errors
    /// [`GpuError::DeviceLost`]: an error of the context sticks to it, and every call has it.
    pub fn health(&self) -> Result<(), GpuError> {
        self.known_health()?;
        let driver = Driver::get()?;
        // SAFETY: a context and a stream of it, both of which `held` keeps alive.
        let answer = unsafe { driver.query(self.held.context.cu_ctx(), self.decode_stream()) };
        answer.map_err(|error| self.lost(&error))
    }

    /// Its primary context, made with blocking waits. cudarc's event tracking is off: whoever uses
    /// memory in more than one stream orders the streams by events.
    pub fn context(&self) -> &Arc<CudaContext> {
        &self.held.context
    }

    /// The stream on which decoded surfaces become readable. Work of another stream on a surface
    /// waits for an event that is recorded here after the frame was received; nothing else is to
    /// be queued here, for decoding would wait for it.
    pub fn decode_stream(&self) -> CUstream {
        self.held.decode_stream.cu_stream()
    }

    /// The same stream, for whoever is to hold it.
    pub fn shared_decode_stream(&self) -> Arc<CudaStream> {
        Arc::clone(&self.held.decode_stream)
    }

    /// A reference for a decoder, which owns it.
    pub(crate) fn hardware_ref(&self) -> *mut ffi::AVBufferRef {
        // SAFETY: a valid reference, whose count is atomic; null for want of memory, which FFmpeg's
        // decoders take as no device.
        unsafe { ffi::av_buffer_ref(self.hardware.0.as_ptr()) }
    }

    fn lost(&self, error: &CudaError) -> GpuError {
        self.tell_lost(words(error));
        self.known_health().expect_err("was just told")
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

/// A failure on the way to a context.
fn failed(ordinal: usize, error: CudaError) -> GpuError {
    let said = words(&error);
    match error.code {
        // Without a context the driver does not say how much is free.
        code::OUT_OF_MEMORY => GpuError::NoMemory { ordinal, free: 0, total: 0, said },
        _ => GpuError::Failed { ordinal, said },
    }
}

/// FFmpeg's reference to the device (AVHWDeviceContext).
struct HardwareDevice(NonNull<ffi::AVBufferRef>);

// SAFETY: the count is atomic and the device is not written after `new`; FFmpeg's decoders and
// frames use one from any thread.
unsafe impl Send for HardwareDevice {}
// SAFETY: as above; the only thing done through a shared reference is to count another one.
unsafe impl Sync for HardwareDevice {}

impl HardwareDevice {
    /// Shows FFmpeg the context and the stream. It never destroys them; it holds `held` until its
    /// last decoder, frame pool and frame are gone.
    fn new(held: &Arc<Held>) -> Result<Self, GpuError> {
        // SAFETY: takes a number; null when this FFmpeg does not know CUDA, or for want of memory.
        let buffer =
            unsafe { ffi::av_hwdevice_ctx_alloc(ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA) };
        let Some(buffer) = NonNull::new(buffer) else {
            let what = "this FFmpeg was built without CUDA".into();
            return Err(GpuError::Unsupported { what });
        };
        let device = Self(buffer);
        // SAFETY: the buffer of a fresh device holds an AVHWDeviceContext, whose `hwctx` is an
        // AVCUDADeviceContext for this type. The fields are set before it is initialised, as FFmpeg
        // asks; the count behind `user_opaque` is given back by `let_go`, which FFmpeg calls once.
        let code = unsafe {
            let raw = (*buffer.as_ptr()).data.cast::<ffi::AVHWDeviceContext>();
            let cuda = (*raw).hwctx.cast::<ffi::AVCUDADeviceContext>();
            (*cuda).cuda_ctx = held.context.cu_ctx().cast();
            (*cuda).stream = held.decode_stream.cu_stream().cast();
            (*raw).user_opaque = Arc::into_raw(Arc::clone(held)).cast_mut().cast();
            (*raw).free = Some(let_go);
            log::listen(|| ffi::av_hwdevice_ctx_init(buffer.as_ptr()))
        };
        check(code).map(|_| device).map_err(|error| {
            let said = format!("FFmpeg: {error} ({})", log::heard().join("; "));
            GpuError::Failed { ordinal: held.ordinal, said }
        })
    }
}

impl Drop for HardwareDevice {
    fn drop(&mut self) {
        let mut pointer = self.0.as_ptr();
        // SAFETY: our own count, given back once.
        unsafe { ffi::av_buffer_unref(&mut pointer) };
    }
}

/// The number of a device that FFmpeg knows by [`HardwareDevice::new`].
///
/// # Safety
/// `device` is null or such a device, alive.
pub(crate) unsafe fn ordinal_of(device: *const ffi::AVHWDeviceContext) -> Option<usize> {
    // SAFETY: what `HardwareDevice::new` put there lives until `let_go`, with the device's last user.
    unsafe { Some(device.as_ref()?.user_opaque.cast::<Held>().as_ref()?.ordinal) }
}

/// FFmpeg frees the device: nothing of it uses the context any more.
unsafe extern "C" fn let_go(device: *mut ffi::AVHWDeviceContext) {
    // SAFETY: the pointer that `HardwareDevice::new` made from an Arc, once. Its drop makes driver
    // calls, whose failures cudarc records; it does not unwind.
    drop(unsafe { Arc::from_raw((*device).user_opaque.cast::<Held>().cast_const()) });
}
