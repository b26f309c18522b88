//! What decoding asks of the driver, in the words of [`GpuError`].

use std::ffi::c_uint;
use std::ptr;

use cudarc::driver::sys::{self, CUcontext, CUstream};
use vas_cuda::{CudaError, Functions, Unavailable, code};

use super::GpuError;

/// The driver, initialised.
#[derive(Clone, Copy)]
pub(super) struct Driver(vas_cuda::Driver);

impl Driver {
    /// Loads and initialises the driver, once a process; until that succeeds each call tries anew.
    pub(super) fn get() -> Result<Self, GpuError> {
        let found = vas_cuda::Driver::probe();
        found.map(Self).map_err(|missing| match missing {
            Unavailable::NoLibrary => GpuError::NoLibrary { library: "libcuda.so.1" },
            Unavailable::MissingSymbol(symbol) => GpuError::MissingSymbol { symbol },
            Unavailable::NoDevice(error) | Unavailable::Failed(error) => {
                GpuError::NoDevice { said: words(&error) }
            }
        })
    }

    /// How many GPUs there are.
    pub(super) fn count(self) -> usize {
        self.0.devices() as usize
    }

    /// Has threads that wait for a GPU sleep instead of spinning. Before its context is made.
    pub(super) fn set_blocking_sync(self, ordinal: usize) -> Result<(), CudaError> {
        const BLOCKING_SYNC: c_uint = sys::CUctx_flags_enum::CU_CTX_SCHED_BLOCKING_SYNC as c_uint;
        let mut device = 0;
        let number = crate::av::to_c_int(ordinal);
        // SAFETY: writes one int; then a device handle of the driver's and flags of cuda.h.
        unsafe {
            self.functions().cuDeviceGet(&mut device, number)?;
            self.functions().cuDevicePrimaryCtxSetFlags_v2(device, BLOCKING_SYNC)
        }
    }

    /// Free and total bytes of the context's GPU.
    ///
    /// # Safety
    /// `context` is alive.
    pub(super) unsafe fn memory(self, context: CUcontext) -> Result<(usize, usize), CudaError> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two numbers; a context is current.
        let ask = || unsafe { self.functions().cuMemGetInfo_v2(&mut free, &mut total) };
        // SAFETY: alive by this function's contract.
        unsafe { self.within(context, ask) }?;
        Ok((free, total))
    }

    /// Asks a stream of the context how it is: an error of the context is sticky and shows here.
    ///
    /// # Safety
    /// `context` and `stream` are alive and belong together.
    pub(super) unsafe fn query(
        self,
        context: CUcontext,
        stream: CUstream,
    ) -> Result<(), CudaError> {
        // SAFETY: alive by this function's contract; its context is current.
        let ask = || unsafe { self.functions().cuStreamQuery(stream) };
        // SAFETY: as above.
        match unsafe { self.within(context, ask) } {
            Err(CudaError { function: "cuStreamQuery", code: code::NOT_READY, .. }) => Ok(()),
            other => other,
        }
    }

    /// What it means that a call of cudarc's was answered so.
    pub(super) fn error(self, call: &'static str, code: c_uint) -> CudaError {
        self.functions().error(call, code)
    }

    /// Calls with the context current, and puts back what was current before.
    ///
    /// # Safety
    /// `context` is alive.
    pub(super) unsafe fn within(
        self,
        context: CUcontext,
        call: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        // SAFETY: alive by this function's contract.
        unsafe { self.functions().cuCtxPushCurrent_v2(context) }?;
        let answer = call();
        let mut popped = ptr::null_mut();
        // SAFETY: takes off what was just put on. It fails only as the call itself did.
        let _same = unsafe { self.functions().cuCtxPopCurrent_v2(&mut popped) };
        answer
    }

    pub(super) fn functions(self) -> &'static Functions {
        self.0.functions()
    }
}

/// What failed, and the driver's name for it.
pub(super) fn words(error: &CudaError) -> String {
    match error.name {
        Some(name) => format!("{}: {name}", error.function),
        None => format!("{}: CUDA error {}", error.function, error.code),
    }
}
