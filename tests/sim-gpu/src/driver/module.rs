//! Modules, and kernels that a test replaces with host code.
//!
//! No PTX is run here. A launch is `CUDA_ERROR_NOT_SUPPORTED` unless [`sim_gpu_register_kernel`] named host
//! code for the kernel; that code runs on the stream's thread and reaches device memory through
//! [`sim_gpu_memory`].

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;
use std::time::Duration;

use super::memory::{self, BlockUse};
use super::stream::{self, Work};
use crate::sim::abi::{Handle, Out, Text, bytes};
use crate::sim::lock;
use crate::sim::registry::Registry;
use crate::sim::site::{export, working_context};
use crate::sim::status::{Result, Status};

/// All living modules, each with its functions' names by handle.
pub(crate) static MODULES: Registry<Mutex<Vec<Handle>>> = Registry::new("module");
static FUNCTIONS: Registry<String> = Registry::new("function");
static KERNELS: Mutex<BTreeMap<String, Kernel>> = Mutex::new(BTreeMap::new());

/// The description of a launch that a stand-in gets.
#[repr(C)]
pub struct Launch {
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Dynamic shared memory.
    pub shared_bytes: u32,
    /// One pointer per registered size, to a value of that size.
    pub parameters: *const *const c_void,
}

/// A stand-in; it returns a `CUresult`.
pub type RunKernel = extern "C" fn(*const Launch) -> u32;

#[derive(Clone)]
struct Kernel {
    sizes: Vec<usize>,
    run: RunKernel,
}

/// Registers host code that runs for launches of the kernel `name`, with parameters of these sizes.
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_register_kernel(
    name: Text,
    sizes: *const usize,
    count: usize,
    run: RunKernel,
) -> c_int {
    let Ok(name) = name.get() else { return -1 };
    // SAFETY: the caller gives `count` sizes.
    let sizes = unsafe { bytes(sizes.cast(), count * size_of::<usize>()) };
    let sizes = sizes.chunks_exact(size_of::<usize>());
    let sizes = sizes.map(|size| usize::from_ne_bytes(size.try_into().expect("exact chunks")));
    lock(&KERNELS).insert(name.into(), Kernel { sizes: sizes.collect(), run });
    0
}

/// The host's view of device memory, for a stand-in while it runs; null for an invalid range.
#[unsafe(no_mangle)]
extern "C" fn sim_gpu_memory(address: u64, len: usize) -> *mut c_void {
    let Ok((block, offset)) = memory::find(address, len) else {
        return std::ptr::null_mut();
    };
    // The storage stays as long as the launch uses the block.
    let base = block.storage.write().as_mut_ptr();
    base.wrapping_add(offset).cast()
}

/// One launch's parameters, copied as the driver does.
struct Parameters(Vec<Box<[u8]>>);

impl Parameters {
    /// # Safety
    /// `values` has a readable pointer to a value for each of `sizes`.
    unsafe fn copy(values: *const *const u8, sizes: &[usize]) -> Self {
        let copy = |(i, size): (usize, &usize)| {
            // SAFETY: guaranteed by the caller.
            unsafe { bytes(*values.add(i), *size) }.into()
        };
        Self(sizes.iter().enumerate().map(copy).collect())
    }

    /// The values that are addresses of device memory, by their range.
    fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        let words = self.0.iter().filter_map(|value| value[..].try_into().ok());
        words.map(u64::from_ne_bytes).filter(|word| memory::is_device(*word))
    }
}

fn launch(
    kernel: Kernel,
    mut launch: Launch,
    parameters: Parameters,
    held: Vec<BlockUse>,
) -> Result {
    let _held = held;
    let pointers: Vec<*const c_void> = parameters.0.iter().map(|v| v.as_ptr().cast()).collect();
    launch.parameters = pointers.as_ptr();
    Status((kernel.run)(&raw const launch)).result()
}

export! {
    fn cuModuleLoadData(module: Out<Handle>, image: *const c_void) |_call| {
        working_context()?;
        if image.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        module.set(MODULES.insert(Mutex::default()))
    }

    fn cuModuleLoadDataEx(
        module: Out<Handle>, image: *const c_void, _count: u32, _options: *mut c_int,
        _values: *mut *mut c_void,
    ) |_call| {
        working_context()?;
        if image.is_null() {
            return Err(Status::INVALID_IMAGE);
        }
        module.set(MODULES.insert(Mutex::default()))
    }

    fn cuModuleUnload(module: Handle) |_call| {
        let module = MODULES.remove(module)?;
        for function in lock(&module).drain(..) {
            FUNCTIONS.remove(function)?;
        }
        working_context().map(|_| ())
    }

    fn cuModuleGetFunction(function: Out<Handle>, module: Handle, name: Text) |_call| {
        working_context()?;
        let module = MODULES.get(module)?;
        let handle = FUNCTIONS.insert(name.get()?.into());
        lock(&module).push(handle);
        function.set(handle)
    }

    fn cuLaunchKernel(
        function: Handle, grid_x: u32, grid_y: u32, grid_z: u32, block_x: u32, block_y: u32,
        block_z: u32, shared_bytes: u32, stream: Handle, parameters: *const *const u8,
        extra: *const *const c_void,
    ) |call| {
        let stream = stream::find(stream)?;
        call.stream = stream.number;
        let name = FUNCTIONS.get(function)?;
        let kernel = lock(&KERNELS).get(&*name).cloned().ok_or(Status::NOT_SUPPORTED)?;
        if !extra.is_null() || (parameters.is_null() && !kernel.sizes.is_empty()) {
            return Err(Status::NOT_SUPPORTED);
        }
        // SAFETY: the caller passes a pointer for each of the kernel's parameters.
        let parameters = unsafe { Parameters::copy(parameters, &kernel.sizes) };
        let blocks = parameters.addresses().map(|address| memory::find(address, 1));
        let blocks = blocks.collect::<Result<Vec<_>>>()?;
        let held = blocks.iter().map(|(block, _)| block.use_on(&stream)).collect();
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let (device, troubles) = (stream.context.device, call.take_troubles());
        let work = Work::Device(Box::new(move || {
            troubles.befall(device, Duration::ZERO)?;
            let shape = Launch { grid, block, shared_bytes, parameters: std::ptr::null() };
            launch(kernel, shape, parameters, held)
        }));
        stream.submit(Vec::new(), work);
        Ok(())
    }
}
