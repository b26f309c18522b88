//! Limits of a device and a decoder.

use std::ptr::null_mut;

use cudarc::driver::sys::{self, CUresult};
use vas_sim_gpu::testing::SimulatedGpu;

use crate::driver::{call, close, device_memory, ok, open};
use crate::nvdec::{Decoder, create};

#[test]
fn device_memory_runs_out() {
    let gpu = SimulatedGpu::new().set("memory_mib", 300).set("context_mib", 256);
    let Some(run) = gpu.in_child(|simulator| {
        open(0);
        let (mut free, mut total) = (0, 0);
        ok!(sys::cuMemGetInfo_v2(&mut free, &mut total));
        assert_eq!((free >> 20, total >> 20), (44, 300));
        let mut address = 0;
        let status = call!(sys::cuMemAlloc_v2(&mut address, 45 << 20));
        assert_eq!(status, CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        let memory = device_memory(43 << 20);
        let refused = create(simulator, 16, 16).err();
        assert_eq!(refused, Some(CUresult::CUDA_ERROR_OUT_OF_MEMORY));
        ok!(sys::cuMemFree_v2(memory));
        assert_eq!(create(simulator, 16, 16).unwrap().destroy(), CUresult::CUDA_SUCCESS);
        // A second context does not fit.
        let mut context = null_mut();
        let status = call!(sys::cuCtxCreate_v2(&mut context, 0, 0));
        assert_eq!(status, CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        close(0);
        assert_eq!(simulator.level("device_bytes"), 0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn surfaces_and_sessions_run_out() {
    let Some(run) = SimulatedGpu::new().set("max_decoders", 2).in_child(|simulator| {
        open(0);
        let too_many = create(simulator, 33, 4).err();
        assert_eq!(too_many, Some(CUresult::CUDA_ERROR_INVALID_VALUE));
        let decoder = create(simulator, 4, 2).unwrap();
        for surface in 0..4 {
            assert_eq!(decoder.decode(surface, 1), CUresult::CUDA_SUCCESS);
        }
        assert_eq!(decoder.decode(4, 1), CUresult::CUDA_ERROR_INVALID_VALUE);
        let first = decoder.map(0, null_mut()).unwrap();
        let second = decoder.map(1, null_mut()).unwrap();
        assert_eq!(decoder.map(2, null_mut()).err(), Some(CUresult::CUDA_ERROR_MAP_FAILED));
        decoder.unmap(first);
        let third = decoder.map(2, null_mut()).unwrap();
        assert_ne!(third.address, first.address, "a stale address is never valid by chance");
        decoder.unmap(second);
        decoder.unmap(third);
        let other = Decoder::new(simulator);
        let third = create(simulator, 4, 4).err();
        assert_eq!(third, Some(CUresult::CUDA_ERROR_OUT_OF_MEMORY));
        other.destroy();
        decoder.destroy();
        close(0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn no_device_is_an_answer() {
    let Some(run) = SimulatedGpu::new().set("devices", 0).in_child(|_| {
        assert_eq!(call!(sys::cuInit(0)), CUresult::CUDA_ERROR_NO_DEVICE);
        let mut count = 7;
        let status = call!(sys::cuDeviceGetCount(&mut count));
        assert_eq!(status, CUresult::CUDA_ERROR_NOT_INITIALIZED);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}
