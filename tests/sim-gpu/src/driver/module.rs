//! Modules and their functions: the kernels of `cuda/nv12.cu`, and those that a test replaces with host code.
//!
//! No PTX is run here. If a module is the checked-in PTX, its kernels run as [`super::kernels`] has them. Of any other
//! module, a launch is `CUDA_ERROR_NOT_SUPPORTED` unless [`sim_gpu_register_kernel`] named host code for the kernel;
//! that code runs on the stream's thread and reaches device memory through [`sim_gpu_memory`].

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::kernels::{self, Kernel as Ours};
use super::memory::{self, BlockUse};
use super::stream::{self, Stream, Work};
use crate::sim::abi::{Handle, Out, Text, bytes};
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::registry::Registry;
use crate::sim::site::{Call, export, working_context};
use crate::sim::status::{Result, Status};

/// What the service loads.
const PTX: &str = include_str!("../../../../cuda/nv12.ptx");

/// All living modules.
pub(crate) static MODULES: Registry<Module> = Registry::new("module");
static FUNCTIONS: Registry<Function> = Registry::new("function");
static KERNELS: Mutex<BTreeMap<String, Kernel>> = Mutex::new(BTreeMap::new());

/// A module that was loaded.
pub(crate) struct Module {
    /// It is the checked-in PTX.
    is_ours: bool,
    functions: Mutex<Vec<Handle>>,
}

/// What a launch of a function runs.
enum Function {
    Ours(Ours),
    /// The stand-in of this name.
    StandIn(String),
}

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

fn load(module: &Out<Handle>, image: &Text) -> Result {
    working_context()?;
    let text = image.get().map_err(|_| Status::INVALID_IMAGE)?;
    let is_ours = text == PTX;
    if !is_ours && text.contains(".entry vas_") {
        report(Kind::OtherKernels, format_args!("the PTX that is loaded is not cuda/nv12.ptx"));
        return Err(Status::INVALID_PTX);
    }
    module.set(MODULES.insert(Module { is_ours, functions: Mutex::default() }))
}

impl Module {
    fn find(&self, name: &str) -> Result<Function> {
        if !self.is_ours {
            return Ok(Function::StandIn(name.into()));
        }
        Ours::of_name(name).map(Function::Ours).ok_or(Status::NOT_FOUND)
    }
}

/// A launch as the driver's function gets it.
struct Launched {
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    parameters: *const *const u8,
}

impl Launched {
    /// Within the limits of every GPU from Maxwell on.
    fn check(&self) -> Result {
        let threads = self.block.iter().fold(1, |all: u64, side| all * u64::from(*side));
        let grid_is_valid = self.grid[0] <= i32::MAX as u32
            && self.grid[1..].iter().all(|side| *side <= 65_535)
            && !self.grid.contains(&0);
        let block_is_valid = (1..=1024).contains(&threads) && self.block[2] <= 64;
        let valid = grid_is_valid && block_is_valid && self.shared_bytes <= 48 << 10;
        if valid { Ok(()) } else { Err(Status::INVALID_VALUE) }
    }

    /// # Safety
    /// `parameters` has a readable pointer to a value for each of the kernel's parameters.
    unsafe fn of_stand_in(self, kernel: Kernel, stream: &Arc<Stream>, call: &mut Call) -> Result {
        if self.parameters.is_null() && !kernel.sizes.is_empty() {
            return Err(Status::NOT_SUPPORTED);
        }
        // SAFETY: the caller's.
        let parameters = unsafe { Parameters::copy(self.parameters, &kernel.sizes) };
        let blocks = parameters.addresses().map(|address| memory::find(address, 1));
        let blocks = blocks.collect::<Result<Vec<_>>>()?;
        let held = blocks.iter().map(|(block, _)| block.use_on(stream)).collect();
        let Self { grid, block, shared_bytes, .. } = self;
        let (device, troubles) = (stream.context.device, call.take_troubles());
        let work = Work::Device(Box::new(move || {
            troubles.befall(device, Duration::ZERO)?;
            let shape = Launch { grid, block, shared_bytes, parameters: std::ptr::null() };
            launch(kernel, shape, parameters, held)
        }));
        stream.submit(Vec::new(), work);
        Ok(())
    }

    /// # Safety
    /// `parameters` has a readable pointer to the kernel's only parameter.
    unsafe fn of_ours(self, kernel: Ours, stream: &Arc<Stream>, call: &mut Call) -> Result {
        if self.parameters.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller's.
        let parameter = unsafe { Parameters::copy(self.parameters, &[kernels::PARAMETER_BYTES]) };
        let prepared = kernel.prepare(&parameter.0[0], self.block, self.grid, stream);
        let (device, troubles) = (stream.context.device, call.take_troubles());
        let work = Work::Device(Box::new(move || {
            troubles.befall(device, Duration::ZERO)?;
            // As on a device: a launch with bad addresses is taken, and then harms the context.
            prepared?.run();
            Ok(())
        }));
        stream.submit(Vec::new(), work);
        Ok(())
    }
}

export! {
    fn cuModuleLoadData(module: Out<Handle>, image: Text) |_call| {
        load(&module, &image)
    }

    fn cuModuleLoadDataEx(
        module: Out<Handle>, image: Text, _count: u32, _options: *mut c_int,
        _values: *mut *mut c_void,
    ) |_call| {
        load(&module, &image)
    }

    fn cuModuleUnload(module: Handle) |_call| {
        let context = working_context();
        if let Ok(context) = &context {
            // As the driver does: no kernel of it runs.
            context.synchronize();
        }
        let module = MODULES.remove(module)?;
        for function in lock(&module.functions).drain(..) {
            FUNCTIONS.remove(function)?;
        }
        context.map(|_| ())
    }

    fn cuModuleGetFunction(function: Out<Handle>, module: Handle, name: Text) |_call| {
        working_context()?;
        let module = MODULES.get(module)?;
        let handle = FUNCTIONS.insert(module.find(name.get()?)?);
        lock(&module.functions).push(handle);
        function.set(handle)
    }

    fn cuLaunchKernel(
        function: Handle, grid_x: u32, grid_y: u32, grid_z: u32, block_x: u32, block_y: u32,
        block_z: u32, shared_bytes: u32, stream: Handle, parameters: *const *const u8,
        extra: *const *const c_void,
    ) |call| {
        let stream = stream::find(stream)?;
        call.stream = stream.number;
        let function = FUNCTIONS.get(function)?;
        let launched = Launched {
            grid: [grid_x, grid_y, grid_z],
            block: [block_x, block_y, block_z],
            shared_bytes,
            parameters,
        };
        launched.check()?;
        if !extra.is_null() {
            return Err(Status::NOT_SUPPORTED);
        }
        match &*function {
            // SAFETY: the caller passes a pointer for each of the kernel's parameters.
            Function::Ours(kernel) => unsafe { launched.of_ours(*kernel, &stream, call) },
            Function::StandIn(name) => {
                let kernel = lock(&KERNELS).get(name).cloned().ok_or(Status::NOT_SUPPORTED)?;
                // SAFETY: as above.
                unsafe { launched.of_stand_in(kernel, &stream, call) }
            }
        }
    }
}
