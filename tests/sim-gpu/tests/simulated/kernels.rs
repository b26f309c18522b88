//! Kernels run only if a test registers a stand-in.

use std::ffi::c_void;
use std::ptr::null_mut;

use cudarc::driver::sys::{self, CUresult};
use vas_sim_gpu::testing::{Launch, SimulatedGpu, Simulator};

use crate::driver::{Pinned, call, close, device_memory, ok, open};

const BYTES: usize = 256;

extern "C" fn fill(launch: *const Launch) -> u32 {
    // SAFETY: the device passes a launch with the two registered parameters.
    let (launch, address, value) = unsafe {
        let launch = &*launch;
        let parameters = std::slice::from_raw_parts(launch.parameters, 2);
        (launch, *parameters[0].cast::<u64>(), *parameters[1].cast::<u8>())
    };
    let len = (launch.grid[0] * launch.block[0]) as usize;
    let memory = Simulator::of_this_process().memory(address, len);
    assert!(!memory.is_null());
    // SAFETY: the device returned memory of `len` bytes.
    unsafe { memory.write_bytes(value, len) };
    0
}

#[test]
fn a_stand_in_runs_in_stream_order() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let (mut module, mut function) = (null_mut(), null_mut());
        ok!(sys::cuModuleLoadData(&mut module, c".version 8.0".as_ptr().cast()));
        ok!(sys::cuModuleGetFunction(&mut function, module, c"fill".as_ptr()));
        let (memory, slot) = (device_memory(BYTES), Pinned::new(BYTES));
        let (mut address, mut value) = (memory, 0x5Au8);
        let mut parameters: [*mut c_void; 2] = [(&raw mut address).cast(), (&raw mut value).cast()];
        let mut launch = || {
            let (grid, block) = (BYTES as u32 / 32, 32);
            let values = parameters.as_mut_ptr();
            call!(sys::cuLaunchKernel(
                function,
                grid,
                1,
                1,
                block,
                1,
                1,
                0,
                null_mut(),
                values,
                null_mut()
            ))
        };
        assert_eq!(launch(), CUresult::CUDA_ERROR_NOT_SUPPORTED);
        simulator.register_kernel("fill", &[8, 1], fill);
        assert_eq!(launch(), CUresult::CUDA_SUCCESS);
        ok!(sys::cuMemcpyDtoHAsync_v2(slot.0.cast(), memory, BYTES, null_mut()));
        ok!(sys::cuCtxSynchronize());
        assert_eq!(slot.bytes(), [0x5A; BYTES]);
        // A launch on freed memory is detected by its parameter.
        ok!(sys::cuMemFree_v2(memory));
        assert_eq!(launch(), CUresult::CUDA_ERROR_INVALID_VALUE);
        assert_eq!(simulator.report().count("use_after_free"), 1);
        slot.free();
        ok!(sys::cuModuleUnload(module));
        close(0);
    }) else {
        return;
    };
    run.report.assert_clean(&["use_after_free"]);
}
