//! The driver calls that may find something amiss, with their codes as numbers.
//!
//! cudarc panics at a library or function that is not there, and reads result codes as a Rust enum,
//! in which a code of a newer driver would be undefined behaviour. What is called here is looked up
//! first and answers with the number. What cudarc itself calls is looked up as well, before it is
//! let near them.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::ptr;
use std::sync::OnceLock;

use cudarc::driver::sys::{self, CUcontext, CUstream};

use super::GpuError;

pub(super) const OUT_OF_MEMORY: c_int = 2;
const NO_DEVICE: c_int = 100;
pub(super) const NOT_READY: c_int = 600;
pub(super) const PRIMARY_CONTEXT_ACTIVE: c_int = 708;

/// What `CudaContext` and `CudaStream` call in this crate, and what describes their errors.
const CALLED_BY_CUDARC: [&str; 14] = [
    "cuInit",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetName",
    "cuDeviceTotalMem_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuGetErrorName",
    "cuGetErrorString",
];

/// The driver, initialised.
pub(super) struct Driver {
    get_count: unsafe extern "C" fn(*mut c_int) -> c_int,
    get_device: unsafe extern "C" fn(*mut c_int, c_int) -> c_int,
    set_flags: unsafe extern "C" fn(c_int, c_uint) -> c_int,
    push: unsafe extern "C" fn(CUcontext) -> c_int,
    pop: unsafe extern "C" fn(*mut CUcontext) -> c_int,
    memory_info: unsafe extern "C" fn(*mut usize, *mut usize) -> c_int,
    query_stream: unsafe extern "C" fn(CUstream) -> c_int,
    error_name: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int,
}

impl Driver {
    /// Loads and initialises the driver, once a process; until that succeeds each call tries anew.
    pub(super) fn get() -> Result<&'static Self, GpuError> {
        static DRIVER: OnceLock<Driver> = OnceLock::new();
        if let Some(driver) = DRIVER.get() {
            return Ok(driver);
        }
        let driver = Self::load()?;
        Ok(DRIVER.get_or_init(|| driver))
    }

    fn load() -> Result<Self, GpuError> {
        // SAFETY: loads the library if it is there; loading NVIDIA's runs its own constructors only.
        if !unsafe { sys::is_culib_present() } {
            return Err(GpuError::NoLibrary { library: "libcuda.so.1" });
        }
        for name in CALLED_BY_CUDARC {
            symbol::<unsafe extern "C" fn()>(name)?;
        }
        // Each has the type that cuda.h gives it, an int in place of the enum CUresult.
        let init = symbol::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit")?;
        let driver = Self {
            get_count: symbol("cuDeviceGetCount")?,
            get_device: symbol("cuDeviceGet")?,
            set_flags: symbol("cuDevicePrimaryCtxSetFlags_v2")?,
            push: symbol("cuCtxPushCurrent_v2")?,
            pop: symbol("cuCtxPopCurrent_v2")?,
            memory_info: symbol("cuMemGetInfo_v2")?,
            query_stream: symbol("cuStreamQuery")?,
            error_name: symbol("cuGetErrorName")?,
        };
        // SAFETY: takes flags, which must be 0.
        match unsafe { init(0) } {
            0 => Ok(driver),
            code => Err(GpuError::NoDevice { said: driver.words("cuInit", code) }),
        }
    }

    /// How many GPUs there are.
    pub(super) fn count(&self) -> Result<usize, GpuError> {
        let mut count = 0;
        // SAFETY: writes one int.
        match unsafe { (self.get_count)(&mut count) } {
            0 if count > 0 => Ok(usize::try_from(count).unwrap_or(0)),
            0 => Err(GpuError::NoDevice { said: self.words("cuDeviceGetCount", NO_DEVICE) }),
            code => Err(GpuError::NoDevice { said: self.words("cuDeviceGetCount", code) }),
        }
    }

    /// Has threads that wait for a GPU sleep instead of spinning. Before its context is made.
    pub(super) fn set_blocking_sync(&self, ordinal: usize) -> Result<(), (&'static str, c_int)> {
        const BLOCKING_SYNC: c_uint = sys::CUctx_flags_enum::CU_CTX_SCHED_BLOCKING_SYNC as c_uint;
        let mut device = 0;
        let number = crate::av::to_c_int(ordinal);
        // SAFETY: writes one int.
        check("cuDeviceGet", unsafe { (self.get_device)(&mut device, number) })?;
        // SAFETY: a device handle of the driver's and flags of cuda.h.
        let code = unsafe { (self.set_flags)(device, BLOCKING_SYNC) };
        check("cuDevicePrimaryCtxSetFlags", code)
    }

    /// Free and total bytes of the context's GPU.
    ///
    /// # Safety
    /// `context` is alive.
    pub(super) unsafe fn memory(
        &self,
        context: CUcontext,
    ) -> Result<(usize, usize), (&'static str, c_int)> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two numbers; a context is current.
        let ask = || unsafe { (self.memory_info)(&mut free, &mut total) };
        // SAFETY: alive by this function's contract.
        unsafe { self.within(context, "cuMemGetInfo", ask) }?;
        Ok((free, total))
    }

    /// Asks a stream of the context how it is: an error of the context is sticky and shows here.
    ///
    /// # Safety
    /// `context` and `stream` are alive and belong together.
    pub(super) unsafe fn query(
        &self,
        context: CUcontext,
        stream: CUstream,
    ) -> Result<(), (&'static str, c_int)> {
        // SAFETY: alive by this function's contract; its context is current.
        let ask = || unsafe { (self.query_stream)(stream) };
        // SAFETY: as above.
        match unsafe { self.within(context, "cuStreamQuery", ask) } {
            Err((_, NOT_READY)) => Ok(()),
            other => other,
        }
    }

    /// What failed, and the driver's name for it.
    pub(super) fn words(&self, call: &str, code: c_int) -> String {
        let mut name = ptr::null();
        // SAFETY: looks a number up and writes a pointer to a static string, or null.
        let known = unsafe { (self.error_name)(code, &mut name) } == 0 && !name.is_null();
        if !known {
            return format!("{call}: CUDA error {code}");
        }
        // SAFETY: not null, so a terminated static string.
        format!("{call}: {}", unsafe { CStr::from_ptr(name) }.to_string_lossy())
    }

    /// Calls with the context current, and puts back what was current before.
    ///
    /// # Safety
    /// `context` is alive.
    unsafe fn within(
        &self,
        context: CUcontext,
        name: &'static str,
        call: impl FnOnce() -> c_int,
    ) -> Result<(), (&'static str, c_int)> {
        // SAFETY: alive by this function's contract.
        check("cuCtxPushCurrent", unsafe { (self.push)(context) })?;
        let code = call();
        let mut popped = ptr::null_mut();
        // SAFETY: takes off what was just put on. It fails only as the call itself did.
        let _same = unsafe { (self.pop)(&mut popped) };
        check(name, code)
    }
}

fn check(call: &'static str, code: c_int) -> Result<(), (&'static str, c_int)> {
    if code == 0 { Ok(()) } else { Err((call, code)) }
}

/// A function of the driver's.
///
/// `F` is its type in cuda.h; [`Driver`] alone names such types, beside the names.
fn symbol<F: Copy>(name: &'static str) -> Result<F, GpuError> {
    // SAFETY: the library is there, as `load` has seen; the type is right by the rule above.
    unsafe { sys::culib().get::<F>(name.as_bytes()) }
        .map(|found| *found)
        .map_err(|_| GpuError::MissingSymbol { symbol: name })
}
