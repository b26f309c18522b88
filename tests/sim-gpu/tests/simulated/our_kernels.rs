//! The kernels of `cuda/nv12.cu`: the document's bytes, and launches that they do not allow.

use std::ffi::CString;
use std::ptr::null_mut;

use cudarc::driver::sys::{self, CUdeviceptr, CUfunction, CUmodule, CUresult};
use vas_scale::launch::{Addresses, Kernel, Launch, Pitches};
use vas_scale::{ColorInfo, Plan, Plane, Request, Source, reference};
use vas_sim_gpu::testing::SimulatedGpu;

use crate::driver::{Pinned, assert_found, call, close, device_memory, ok, open};

const PTX: &str = include_str!("../../../../cuda/nv12.ptx");
const SIZE: (u32, u32) = (64, 32);
/// Of the source's rows.
const PITCH: u32 = 160;
const SOURCE_BYTES: usize = PITCH as usize * 32 * 3 / 2;

/// The kernels, loaded, and a source of words with memory for its output.
struct Loaded {
    module: CUmodule,
    source: CUdeviceptr,
    output: CUdeviceptr,
    samples: Vec<u8>,
    plan: Plan,
}

impl Loaded {
    fn new() -> Self {
        open(0);
        let (mut module, text) = (null_mut(), CString::new(PTX).unwrap());
        ok!(sys::cuModuleLoadData(&mut module, text.as_ptr().cast()));
        let samples: Vec<u8> = (0..SOURCE_BYTES).map(|i| (i * 7 + i / 251) as u8).collect();
        let request = Request { width: Some(21), ..Request::default() };
        let plan = Plan::new(SIZE, request, ColorInfo::default()).unwrap();
        let source = device_memory(SOURCE_BYTES);
        ok!(sys::cuMemcpyHtoD_v2(source, samples.as_ptr().cast(), SOURCE_BYTES));
        let output = device_memory(Self::output_bytes(&plan));
        Self { module, source, output, samples, plan }
    }

    fn output_bytes(plan: &Plan) -> usize {
        let output = plan.output();
        (output.width * output.height + 2 * output.width.div_ceil(2) * output.height.div_ceil(2))
            as usize
    }

    fn function(&self, name: &str) -> Result<CUfunction, CUresult> {
        let (mut function, name) = (null_mut(), CString::new(name).unwrap());
        match call!(sys::cuModuleGetFunction(&mut function, self.module, name.as_ptr())) {
            CUresult::CUDA_SUCCESS => Ok(function),
            error => Err(error),
        }
    }

    fn parameter(&self) -> Launch {
        let output = self.plan.output();
        let chroma = output.width.next_multiple_of(2);
        let (source, pitch) = (PITCH, output.width);
        let mut launch = Launch::new(
            &self.plan,
            Pitches {
                source_luma: source,
                source_chroma: source,
                output_luma: pitch,
                output_chroma: chroma,
            },
        );
        launch.addresses = Addresses {
            source_luma: self.source,
            source_chroma: self.source + u64::from(PITCH * SIZE.1),
            output_luma: self.output,
            output_chroma: self.output + u64::from(output.width * output.height),
        };
        launch
    }

    fn launch(&self, parameter: Launch, grid: [u32; 2]) -> CUresult {
        let function = self.function(Kernel::P016Scale.name()).unwrap();
        let mut parameter = parameter;
        let mut values = [(&raw mut parameter).cast()];
        let ([x, y], values) = (parameter.shape().0, values.as_mut_ptr());
        let (stream, none) = (null_mut(), null_mut());
        call!(sys::cuLaunchKernel(function, grid[0], grid[1], 1, x, y, 1, 0, stream, values, none))
    }

    fn close(self) {
        ok!(sys::cuMemFree_v2(self.source));
        ok!(sys::cuMemFree_v2(self.output));
        ok!(sys::cuModuleUnload(self.module));
        close(0);
    }
}

#[test]
fn a_launch_gives_the_bytes_of_the_document() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let loaded = Loaded::new();
        let parameter = loaded.parameter();
        assert_eq!(loaded.launch(parameter, parameter.shape().1), CUresult::CUDA_SUCCESS);
        let picture = Pinned::new(Loaded::output_bytes(&loaded.plan));
        let bytes = picture.bytes().len();
        ok!(sys::cuMemcpyDtoHAsync_v2(picture.0.cast(), loaded.output, bytes, null_mut()));
        ok!(sys::cuCtxSynchronize());
        let (luma, chroma) = loaded.samples.split_at((PITCH * SIZE.1) as usize);
        let plane = |bytes| Plane::new(bytes, PITCH as usize);
        let source = Source::P016 { y: plane(luma), uv: plane(chroma) };
        let expected = reference::scale(&source, &loaded.plan);
        assert!(picture.bytes() == [expected.luma, expected.chroma].concat());
        picture.free();
        assert_eq!(simulator.level("modules"), 1);
        loaded.close();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    assert!(run.report.remarks[0].contains("kernels from "), "{:?}", run.report.remarks);
}

#[test]
fn other_ptx_with_these_kernels_is_refused() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        open(0);
        let mut module = null_mut();
        let other = CString::new(PTX.replace("mad.lo", "mad.hi")).unwrap();
        let refused = call!(sys::cuModuleLoadData(&mut module, other.as_ptr().cast()));
        assert_eq!(refused, CUresult::CUDA_ERROR_INVALID_PTX);
        close(0);
        let loaded = Loaded::new();
        let unknown = loaded.function("vas_p010_to_nv12");
        assert_eq!(unknown, Err(CUresult::CUDA_ERROR_NOT_FOUND));
        loaded.close();
    }) else {
        return;
    };
    assert_found(&run, &["other_kernels"]);
}

#[test]
fn a_function_of_a_module_that_is_gone_is_not_launched() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let loaded = Loaded::new();
        let function = loaded.function(Kernel::P016Scale.name()).unwrap();
        loaded.close();
        open(0);
        let (stream, none) = (null_mut(), null_mut());
        let refused =
            call!(sys::cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, null_mut(), none));
        assert_eq!(refused, CUresult::CUDA_ERROR_INVALID_HANDLE);
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["use_after_destroy"]);
}

/// What a device takes, and harms the context with.
macro_rules! misuses {
    ($($name:ident: $kind:literal, $error:ident, $change:expr;)*) => {$(
        #[test]
        fn $name() {
            let Some(run) = SimulatedGpu::new().in_child(|_| {
                let loaded = Loaded::new();
                let parameter = loaded.parameter();
                let mut launch = (parameter, parameter.shape().1);
                let change: fn(&mut (Launch, [u32; 2])) = $change;
                change(&mut launch);
                assert_eq!(loaded.launch(launch.0, launch.1), CUresult::CUDA_SUCCESS);
                assert_eq!(call!(sys::cuCtxSynchronize()), CUresult::$error);
            }) else {
                return;
            };
            let kinds = run.report.misuses.iter().map(|misuse| misuse.kind.as_str());
            let kinds: Vec<&str> = kinds.filter(|kind| *kind != "leak").collect();
            assert_eq!(kinds, [$kind], "{:#?}", run.report);
        }
    )*};
}

misuses! {
    an_output_beyond_its_memory: "out_of_bounds", CUDA_ERROR_ILLEGAL_ADDRESS,
        |(launch, _)| launch.addresses.output_chroma += 1;
    a_source_beyond_its_memory: "out_of_bounds", CUDA_ERROR_ILLEGAL_ADDRESS,
        |(launch, _)| launch.addresses.source_chroma += 64;
    memory_of_the_host: "illegal_address", CUDA_ERROR_ILLEGAL_ADDRESS,
        |(launch, _)| launch.addresses.output_luma = 4096;
    words_at_an_odd_address: "misaligned", CUDA_ERROR_MISALIGNED_ADDRESS,
        |(launch, _)| launch.addresses.source_luma += 1;
    a_grid_that_leaves_samples_out: "bad_launch", CUDA_ERROR_LAUNCH_FAILED,
        |(_, grid)| grid[1] -= 1;
}

#[test]
fn memory_that_was_freed() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        let loaded = Loaded::new();
        let parameter = loaded.parameter();
        ok!(sys::cuMemFree_v2(loaded.source));
        let launched = loaded.launch(parameter, parameter.shape().1);
        assert_eq!(launched, CUresult::CUDA_SUCCESS);
        let failed = call!(sys::cuCtxSynchronize());
        assert_eq!(failed, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    }) else {
        return;
    };
    assert_eq!(run.report.count("use_after_free"), 1, "{:#?}", run.report);
}
