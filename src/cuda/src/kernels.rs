//! The kernels of `cuda/nv12.cu`, loaded into a context.

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use cudarc::driver::CudaContext;
use cudarc::driver::sys::{CUfunction, CUmodule, CUstream};

use crate::error::{CudaError, Unavailable};
use crate::functions::KernelFunctions;
use crate::probe::Driver;

/// What `scripts/build-ptx` built; the driver compiles it for the GPU of the host.
const PTX: &str = concat!(include_str!("../../../cuda/nv12.ptx"), "\0");

/// [`Kernels::NAMES`] for the driver.
const C_NAMES: [&CStr; 3] = [c"vas_p016_to_nv12", c"vas_nv12_scale", c"vas_p016_scale"];

/// Why no kernel can convert a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKernels {
    /// The driver lacks a function.
    #[error(transparent)]
    Driver(#[from] Unavailable),
    /// A call failed: the driver refuses the kernels, or memory for their output.
    #[error(transparent)]
    Cuda(#[from] CudaError),
}

/// The kernels in a context.
#[derive(Debug)]
pub struct Kernels {
    driver: Driver,
    table: &'static KernelFunctions,
    context: Arc<CudaContext>,
    module: CUmodule,
    functions: [CUfunction; 3],
}

// SAFETY: the driver takes modules and functions from any thread; nothing writes to them after `load`.
unsafe impl Send for Kernels {}
// SAFETY: as above, and from several at a time.
unsafe impl Sync for Kernels {}

impl Kernels {
    /// Their names. A kernel's index here is its number for [`launch`](Self::launch).
    pub const NAMES: [&str; 3] = ["vas_p016_to_nv12", "vas_nv12_scale", "vas_p016_scale"];

    /// Loads the kernels into a context, which lives as long as they do. Slow: the driver compiles them.
    ///
    /// # Errors
    /// A function is missing, or the driver refuses the PTX.
    pub fn load(driver: Driver, context: &Arc<CudaContext>) -> Result<Self, NoKernels> {
        let (table, context) = (driver.kernels()?, Arc::clone(context));
        let (module, functions) = (null_mut(), [null_mut(); 3]);
        let mut kernels = Self { driver, table, context, module, functions };
        kernels.find()?;
        Ok(kernels)
    }

    /// What was loaded when a call failed is unloaded by `drop`.
    fn find(&mut self) -> Result<(), CudaError> {
        let Self { driver, table, context, module, functions } = self;
        within(*driver, context, || {
            // SAFETY: a text that ends with a zero; the handles written to are ours; the context is current.
            unsafe {
                table.cuModuleLoadData(module, PTX.as_ptr().cast())?;
                for (name, function) in C_NAMES.iter().zip(functions) {
                    table.cuModuleGetFunction(function, *module, name.as_ptr())?;
                }
            }
            Ok(())
        })
    }

    /// Queues a launch of the kernel of this number, with blocks of `block` threads in a grid of `grid` blocks: columns
    /// and rows of each.
    ///
    /// # Errors
    /// The driver refuses it: nothing is queued.
    ///
    /// # Panics
    /// If no kernel has this number.
    ///
    /// # Safety
    /// `parameter` is the kernel's only one. The memory that it names is valid until the stream is past the launch, and
    /// nothing else writes to it meanwhile. `stream` is one of the context.
    pub unsafe fn launch<P>(
        &self,
        index: usize,
        (block, grid): ([u32; 2], [u32; 2]),
        stream: CUstream,
        parameter: &P,
    ) -> Result<(), CudaError> {
        // The driver copies the parameter before it returns, and does not write to it.
        let mut parameters: [*mut c_void; 1] = [std::ptr::from_ref(parameter).cast_mut().cast()];
        let [x, y] = block;
        // SAFETY: the caller's; the kernels use no shared memory.
        unsafe {
            self.table.cuLaunchKernel(
                self.functions[index],
                grid[0],
                grid[1],
                1,
                x,
                y,
                1,
                0,
                stream,
                parameters.as_mut_ptr(),
                null_mut(),
            )
        }
    }

    /// The functions that launch kernels.
    #[must_use]
    pub fn functions(&self) -> &'static KernelFunctions {
        self.table
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        if self.module.is_null() {
            return;
        }
        let Self { driver, table, context, module, .. } = self;
        // SAFETY: ours, once; the context is current.
        let unloaded = within(*driver, context, || unsafe { table.cuModuleUnload(*module) });
        if let Err(error) = unloaded {
            // A lost context fails every call; its destruction releases the module.
            tracing::debug!("{error}");
        }
    }
}

/// Calls the driver with the context current, and restores the previous one.
fn within(
    driver: Driver,
    context: &CudaContext,
    call: impl FnOnce() -> Result<(), CudaError>,
) -> Result<(), CudaError> {
    let functions = driver.functions();
    // SAFETY: the context is retained as long as we hold it.
    unsafe { functions.cuCtxPushCurrent_v2(context.cu_ctx()) }?;
    let answer = call();
    let mut popped = null_mut();
    // SAFETY: pops what was just pushed. It fails only with the error of `call`.
    let _same = unsafe { functions.cuCtxPopCurrent_v2(&mut popped) };
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ptx_has_the_kernels() {
        assert_eq!(C_NAMES.map(|name| name.to_str().unwrap()), Kernels::NAMES);
        for name in Kernels::NAMES {
            assert!(PTX.contains(&format!(".visible .entry {name}(")), "{name}");
        }
        // It ends where the driver's C string ends.
        assert_eq!(PTX.find('\0'), Some(PTX.len() - 1));
    }
}
