//! The driver calls that decoding needs.

use std::ffi::c_uint;
use std::ptr;

use cudarc::driver::CudaContext;
use cudarc::driver::sys::{self, CUcontext, CUstream};
use vas_cuda::{CudaError, Functions, NvdecCaps, Unavailable, code};

use super::GpuError;

/// The driver, loaded and initialized.
#[derive(Clone, Copy)]
pub(super) struct Driver(vas_cuda::Driver);

impl Driver {
    /// Loads and initializes the driver once in a process; after a failure the next call tries again.
    pub(super) fn get() -> Result<Self, GpuError> {
        let found = vas_cuda::Driver::probe();
        found.map(Self).map_err(|missing| match missing {
            Unavailable::NoLibrary => GpuError::NoLibrary { library: "libcuda.so.1" },
            Unavailable::MissingSymbol(symbol) => GpuError::MissingSymbol { symbol },
            Unavailable::NoDevice(error) | Unavailable::Failed(error) => {
                GpuError::NoDevice { cause: describe(&error) }
            }
        })
    }

    /// The number of GPUs.
    pub(super) fn count(self) -> usize {
        self.0.devices() as usize
    }

    /// Makes threads that wait for a GPU sleep instead of spinning. Must come before its context is created.
    pub(super) fn set_blocking_sync(self, ordinal: usize) -> Result<(), CudaError> {
        const BLOCKING_SYNC: c_uint = sys::CUctx_flags_enum::CU_CTX_SCHED_BLOCKING_SYNC as c_uint;
        let mut device = 0;
        let number = crate::av::to_c_int(ordinal);
        // SAFETY: writes one int; then takes the driver's device handle and flags of cuda.h.
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
        let query = || unsafe { self.functions().cuMemGetInfo_v2(&mut free, &mut total) };
        // SAFETY: alive by this function's contract.
        unsafe { self.with_context(context, query) }?;
        Ok((free, total))
    }

    /// What NVDEC decodes on a GPU. Without an answer, decoders are tried.
    pub(super) fn nvdec(
        self,
        context: &CudaContext,
        ordinal: usize,
        name: &str,
    ) -> Option<NvdecCaps> {
        let mut answer = Err(String::new());
        let ask = || {
            answer = NvdecCaps::ask(&self.0).map_err(|unknown| unknown.to_string());
            Ok(())
        };
        // SAFETY: a context that the caller keeps alive.
        let asked = unsafe { self.with_context(context.cu_ctx(), ask) };
        match asked.map_err(|error| error.to_string()).and(answer) {
            Ok(caps) => {
                tracing::info!("GPU {ordinal} ({name}) decodes {caps}");
                Some(caps)
            }
            Err(why) => {
                tracing::warn!("what GPU {ordinal} ({name}) decodes is unknown: {why}");
                None
            }
        }
    }

    /// Queries a stream of the context, which returns the context's sticky error if it has one.
    ///
    /// # Safety
    /// `context` and `stream` are alive and belong together.
    pub(super) unsafe fn query(
        self,
        context: CUcontext,
        stream: CUstream,
    ) -> Result<(), CudaError> {
        // SAFETY: alive by this function's contract; its context is current.
        let query = || unsafe { self.functions().cuStreamQuery(stream) };
        // SAFETY: as above.
        match unsafe { self.with_context(context, query) } {
            Err(CudaError { function: "cuStreamQuery", code: code::NOT_READY, .. }) => Ok(()),
            other => other,
        }
    }

    /// The error for a code that one of cudarc's calls returned.
    pub(super) fn error(self, call: &'static str, code: c_uint) -> CudaError {
        self.functions().error(call, code)
    }

    /// Calls `call` with the context current, and restores the previous one.
    ///
    /// # Safety
    /// `context` is alive.
    pub(super) unsafe fn with_context(
        self,
        context: CUcontext,
        call: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        // SAFETY: alive by this function's contract.
        unsafe { self.functions().cuCtxPushCurrent_v2(context) }?;
        let answer = call();
        let mut popped = ptr::null_mut();
        // SAFETY: pops the context that was just pushed. It fails only with the error of `call`.
        let _same = unsafe { self.functions().cuCtxPopCurrent_v2(&mut popped) };
        answer
    }

    pub(super) fn functions(self) -> &'static Functions {
        self.0.functions()
    }
}

/// The function that failed, and the driver's name for the error.
pub(super) fn describe(error: &CudaError) -> String {
    match error.name {
        Some(name) => format!("{}: {name}", error.function),
        None => format!("{}: CUDA error {}", error.function, error.code),
    }
}
