//! The kernels of `cuda/nv12.cu` on the GPU, against the reference of docs/ref/scaling.md.

use std::ffi::{CStr, CString, c_void};
use std::ptr;

use cudarc::driver::{CudaContext, DriverError, result, sys};
use fastrand::Rng;
use vas_scale::launch::{Addresses, Kernel, Launch, Pitches};
use vas_scale::{ChromaSite, ColorInfo, Fit, Plan, Plane, Request, Source, reference};

use crate::Failure;
use crate::report::Findings;

/// As `vas-cuda` loads it.
const PTX: &str = concat!(include_str!("../../../cuda/nv12.ptx"), "\0");

/// Pictures of each kernel.
const PICTURES: u32 = 350;

/// Largest sides of a picture: the reference is slow.
const LARGEST: (u32, u32) = (640, 480);

/// What output memory holds before a launch.
const FIELD: u8 = 0xee;

/// Runs each kernel on pictures of random sizes, samples, pitches, sitings and ranges.
pub(crate) fn check(gpu: u32, findings: &mut Findings) -> Result<(), Failure> {
    let context = crate::device::open(gpu)?;
    let module = Module::load(&context)?;
    let mut rng = Rng::with_seed(15);
    for kernel in Kernel::ALL {
        let function = module.function(kernel)?;
        for number in 0..PICTURES {
            let case = Case::random(&mut rng, kernel);
            case.run(function).map_err(|wrong| {
                Failure::Wrong(format!(
                    "{}, picture {number}, {:?}: {wrong}",
                    kernel.name(),
                    case.plan
                ))
            })?;
        }
        findings.note(format!("{}: {PICTURES} pictures equal, byte for byte", kernel.name()));
    }
    Ok(())
}

/// The kernels, in the context that is current.
struct Module(sys::CUmodule);

impl Module {
    fn load(context: &CudaContext) -> Result<Self, Failure> {
        let wrong =
            |error| Failure::Wrong(format!("the driver does not take cuda/nv12.ptx: {error}"));
        context.bind_to_thread().map_err(wrong)?;
        let ptx = CStr::from_bytes_with_nul(PTX.as_bytes()).expect("one zero, at the end");
        let mut module = ptr::null_mut();
        // SAFETY: a context is current, and the PTX ends with a zero.
        unsafe { sys::cuModuleLoadData(&mut module, ptx.as_ptr().cast()) }
            .result()
            .map_err(wrong)?;
        Ok(Self(module))
    }

    fn function(&self, kernel: Kernel) -> Result<sys::CUfunction, Failure> {
        let name = CString::new(kernel.name()).expect("no zero in a name");
        // SAFETY: the module is loaded, in the context that is current.
        unsafe { result::module::get_function(self.0, name) }
            .map_err(|error| Failure::Wrong(format!("no kernel {}: {error}", kernel.name())))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded, unloaded once, and no launch runs.
        let _ = unsafe { result::module::unload(self.0) };
    }
}

/// Device memory of the context that is current.
struct Memory {
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl Memory {
    fn with(content: &[u8]) -> Result<Self, DriverError> {
        // SAFETY: a context is current.
        let address = unsafe { result::malloc_sync(content.len()) }?;
        let memory = Self { address, bytes: content.len() };
        // SAFETY: as many bytes as were allocated.
        unsafe { result::memcpy_htod_sync(address, content) }?;
        Ok(memory)
    }

    fn read(&self) -> Result<Vec<u8>, DriverError> {
        let mut content = vec![0; self.bytes];
        // SAFETY: as many bytes as were allocated.
        unsafe { result::memcpy_dtoh_sync(&mut content, self.address) }?;
        Ok(content)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated, freed once, and no launch runs.
        let _ = unsafe { result::free_sync(self.address) };
    }
}

/// A picture through a kernel.
struct Case {
    kernel: Kernel,
    plan: Plan,
    /// Bytes between rows: source and output.
    pitch: [u32; 2],
    samples: Vec<u8>,
}

impl Case {
    fn random(rng: &mut Rng, kernel: Kernel) -> Self {
        let size = (rng.u32(1..=LARGEST.0), rng.u32(1..=LARGEST.1));
        let mut side = |source| Some(rng.u32(1..=source));
        let asked = (side(size.0), side(size.1));
        let fits = [Fit::Fit, Fit::Stretch, Fit::Letterbox];
        let request = match kernel {
            Kernel::P016ToNv12 => Request::default(),
            _ => Request { width: asked.0, height: asked.1, fit: fits[rng.usize(..3)] },
        };
        let site = ChromaSite::of_chroma_location(rng.u32(0..=6));
        let color = ColorInfo { site, full_range: rng.bool() };
        let plan = Plan::new(size, request, color).expect("sizes within limits");
        let sample = if kernel == Kernel::Nv12Scale { 1 } else { 2 };
        let row = |width: u32| 2 * width.div_ceil(2);
        let pitch =
            [sample * (row(size.0) + rng.u32(0..40)), row(plan.output().width) + rng.u32(0..40)];
        let rows = size.1 + size.1.div_ceil(2);
        let samples = (0..pitch[0] * rows).map(|_| rng.u8(..)).collect();
        Self { kernel, plan, pitch, samples }
    }

    fn run(&self, function: sys::CUfunction) -> Result<(), String> {
        let output = self.launch(function).map_err(|error| error.to_string())?;
        let expected = self.expected();
        match output.iter().zip(&expected).position(|(got, expected)| got != expected) {
            None => Ok(()),
            Some(at) => Err(format!(
                "byte {at} is {}, not {} (rows of {} bytes)",
                output[at], expected[at], self.pitch[1]
            )),
        }
    }

    fn launch(&self, function: sys::CUfunction) -> Result<Vec<u8>, DriverError> {
        let (size, out) = (self.plan.source(), self.plan.output());
        let source = Memory::with(&self.samples)?;
        let rows = out.height + out.height.div_ceil(2);
        let output = Memory::with(&vec![FIELD; (self.pitch[1] * rows) as usize])?;
        let pitches = Pitches {
            source_luma: self.pitch[0],
            source_chroma: self.pitch[0],
            output_luma: self.pitch[1],
            output_chroma: self.pitch[1],
        };
        let mut launch = Launch::new(&self.plan, pitches);
        launch.addresses = Addresses {
            source_luma: source.address,
            source_chroma: source.address + u64::from(self.pitch[0] * size.height),
            output_luma: output.address,
            output_chroma: output.address + u64::from(self.pitch[1] * out.height),
        };
        let (block, grid) = launch.shape();
        let mut parameters = [(&raw mut launch).cast::<c_void>()];
        // SAFETY: the parameter is the kernel's, and its addresses are those of allocations of this size, which live
        // until the launch has ended.
        unsafe {
            result::launch_kernel(
                function,
                (grid[0], grid[1], 1),
                (block[0], block[1], 1),
                0,
                ptr::null_mut(),
                &mut parameters,
            )?;
        }
        result::ctx::synchronize()?;
        output.read()
    }

    /// The whole of the output's memory.
    fn expected(&self) -> Vec<u8> {
        let (size, out) = (self.plan.source(), self.plan.output());
        let (y, uv) = self.samples.split_at((self.pitch[0] * size.height) as usize);
        let stride = self.pitch[0] as usize;
        let (y, uv) = (Plane::new(y, stride), Plane::new(uv, stride));
        let source = match self.kernel {
            Kernel::Nv12Scale => Source::Nv12 { y, uv },
            Kernel::P016ToNv12 | Kernel::P016Scale => Source::P016 { y, uv },
        };
        let picture = reference::scale(&source, &self.plan);
        let (width, pitch) = (out.width as usize, self.pitch[1] as usize);
        let mut memory = vec![FIELD; pitch * (out.height + out.height.div_ceil(2)) as usize];
        let luma = picture.luma.chunks(width);
        let chroma = picture.chroma.chunks(2 * width.div_ceil(2));
        for (to, from) in memory.chunks_mut(pitch).zip(luma.chain(chroma)) {
            to[..from.len()].copy_from_slice(from);
        }
        memory
    }
}
