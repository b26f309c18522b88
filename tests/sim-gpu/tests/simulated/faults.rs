//! Faults happen at the requested call, and as on a real device.

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use cudarc::driver::sys::{self, CUresult};
use vas_sim_gpu::testing::SimulatedGpu;

use crate::driver::{
    Pinned, call, close, device_memory, event, ok, open, rows_down, stream, while_held,
};
use crate::nvdec::{Decoder, HEIGHT, WIDTH, expected};

const BYTES: usize = 4096;

#[test]
fn one_call_fails_and_the_next_does_not() {
    let gpu = SimulatedGpu::new().set("fault", "cuMemAlloc_v2:2:CUDA_ERROR_OUT_OF_MEMORY");
    let Some(run) = gpu.in_child(|_| {
        open(0);
        let first = device_memory(BYTES);
        let mut second = 0;
        let status = call!(sys::cuMemAlloc_v2(&mut second, BYTES));
        assert_eq!(status, CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        let third = device_memory(BYTES);
        ok!(sys::cuMemFree_v2(first));
        ok!(sys::cuMemFree_v2(third));
        close(0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn failed_work_sticks_to_its_context_alone() {
    let fault = "cuMemcpyDtoHAsync_v2:1:async=CUDA_ERROR_LAUNCH_FAILED@1";
    let gpu = SimulatedGpu::new().set("devices", 2).set("fault", fault);
    let Some(run) = gpu.in_child(|_| {
        for device in [0, 1] {
            open(device);
            let (memory, slot) = (device_memory(BYTES), Pinned::new(BYTES));
            ok!(sys::cuMemcpyDtoHAsync_v2(slot.0.cast(), memory, BYTES, null_mut()));
            let status = call!(sys::cuCtxSynchronize());
            if device == 0 {
                assert_eq!(status, CUresult::CUDA_SUCCESS);
                ok!(sys::cuMemFree_v2(memory));
                slot.free();
                close(0);
            } else {
                let failed = CUresult::CUDA_ERROR_LAUNCH_FAILED;
                assert_eq!(status, failed);
                // Every call returns the error, and releases still release.
                assert_eq!(call!(sys::cuMemFree_v2(memory)), failed);
                assert_eq!(call!(sys::cuMemFreeHost(slot.0.cast())), failed);
                let mut stream = null_mut();
                assert_eq!(call!(sys::cuStreamCreate(&mut stream, 1)), failed);
                assert_eq!(call!(sys::cuDevicePrimaryCtxRelease_v2(1)), failed);
            }
        }
        // A new primary context works again.
        open(1);
        ok!(sys::cuCtxSynchronize());
        close(1);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_lost_device_wakes_who_waits_for_it() {
    let gpu = SimulatedGpu::new().set("devices", 2);
    let Some(run) = gpu.in_child(|simulator| {
        open(0);
        let spared = stream();
        let context = open(1) as usize;
        let (copying, memory, slot) = (stream(), device_memory(BYTES), Pinned::new(BYTES));
        let done = event();
        simulator.set("fault=cuMemcpyDtoHAsync_v2:1:slow=3600000000");
        ok!(sys::cuMemcpyDtoHAsync_v2(slot.0.cast(), memory, BYTES, copying));
        ok!(sys::cuEventRecord(done, copying));
        // The device's next call, the waiting one, detects the loss.
        simulator.set("fault=device_lost:1@call 2");
        let waiter = {
            let done = done as usize;
            std::thread::spawn(move || {
                ok!(sys::cuCtxSetCurrent(context as _));
                call!(sys::cuEventSynchronize(done as _))
            })
        };
        while simulator.calls("cuEventSynchronize") == 0 {
            std::thread::yield_now();
        }
        // Whether this is the second call of the device or the third, it is lost now.
        let status = call!(sys::cuCtxSynchronize());
        assert_eq!(status, CUresult::CUDA_ERROR_UNKNOWN);
        assert_eq!(waiter.join().unwrap(), CUresult::CUDA_ERROR_UNKNOWN);
        assert_eq!(call!(sys::cuMemFree_v2(memory)), CUresult::CUDA_ERROR_UNKNOWN);
        assert_eq!(call!(sys::cuDevicePrimaryCtxRelease_v2(1)), CUresult::CUDA_ERROR_UNKNOWN);
        let mut context = null_mut();
        let status = call!(sys::cuDevicePrimaryCtxRetain(&mut context, 1));
        assert_eq!(status, CUresult::CUDA_ERROR_UNKNOWN);
        // The other device is not affected.
        ok!(sys::cuStreamSynchronize(spared));
        open(0);
        ok!(sys::cuCtxSynchronize());
    }) else {
        return;
    };
    assert!(run.report.remarks.iter().any(|remark| remark == "device 1 is lost"));
    assert!(run.report.misuses.iter().all(|misuse| misuse.kind == "leak"), "{:#?}", run.report);
}

#[test]
fn host_functions_are_skipped_and_callbacks_get_the_error() {
    extern "C" fn count(counter: *mut std::ffi::c_void) {
        // SAFETY: the test passes a counter and waits.
        unsafe { *counter.cast::<u32>() += 1 }
    }
    extern "C" fn store_status(_: sys::CUstream, status: CUresult, place: *mut std::ffi::c_void) {
        // SAFETY: as above.
        unsafe { *place.cast::<u32>() = status as u32 }
    }
    let fault = "cuMemcpyDtoHAsync_v2:1:async=CUDA_ERROR_ILLEGAL_ADDRESS";
    let Some(run) = SimulatedGpu::new().set("fault", fault).in_child(|_| {
        open(0);
        let (memory, slot) = (device_memory(BYTES), Pinned::new(BYTES));
        let copying = stream();
        let (mut before, mut after, mut status) = (0u32, 0u32, 0u32);
        // Queued before the failure is known: all three calls succeed.
        let host: unsafe extern "C" fn(*mut std::ffi::c_void) = count;
        let callback: unsafe extern "C" fn(sys::CUstream, CUresult, *mut std::ffi::c_void) =
            store_status;
        while_held(copying, || {
            ok!(sys::cuLaunchHostFunc(copying, Some(host), (&raw mut before).cast()));
            ok!(sys::cuMemcpyDtoHAsync_v2(slot.0.cast(), memory, BYTES, copying));
            ok!(sys::cuLaunchHostFunc(copying, Some(host), (&raw mut after).cast()));
            ok!(sys::cuStreamAddCallback(copying, Some(callback), (&raw mut status).cast(), 0));
        });
        let end = call!(sys::cuStreamSynchronize(copying));
        assert_eq!(end, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        assert_eq!((before, after), (1, 0));
        assert_eq!(status, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS as u32);
    }) else {
        return;
    };
    assert!(run.report.misuses.iter().all(|misuse| misuse.kind == "leak"), "{:#?}", run.report);
}

#[test]
fn a_call_that_queues_nothing_is_slow_itself() {
    let fault = "cuMemAlloc_v2:1:slow=30000";
    let gpu = SimulatedGpu::new().set("jitter_percent", 0).set("fault", fault);
    let Some(run) = gpu.in_child(|_| {
        open(0);
        let start = Instant::now();
        ok!(sys::cuMemFree_v2(device_memory(BYTES)));
        assert!(start.elapsed() >= Duration::from_millis(30));
        close(0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_concealed_picture_differs_and_says_so() {
    let fault = "cuvidDecodePicture:1:async=CUDA_ERROR_UNKNOWN";
    let Some(run) = SimulatedGpu::new().set("fault", fault).in_child(|simulator| {
        open(0);
        let (decoder, slot) = (Decoder::new(simulator), Pinned::new(WIDTH * HEIGHT));
        for (concealed, status) in [(true, 9), (false, 2)] {
            let mapped = decoder.picture(1, null_mut());
            assert_eq!(decoder.status(0), status);
            let copy = rows_down(mapped.address, mapped.pitch, slot.0, WIDTH, HEIGHT);
            ok!(sys::cuMemcpy2DAsync_v2(&copy, null_mut()));
            ok!(sys::cuCtxSynchronize());
            let expected = expected(1).picture(WIDTH, HEIGHT, 8);
            assert_eq!(slot.bytes() != &expected[..WIDTH * HEIGHT], concealed);
            decoder.unmap(mapped);
        }
        decoder.destroy();
        slot.free();
        close(0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_decoder_fails_at_each_of_its_calls() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let unknown = CUresult::CUDA_ERROR_UNKNOWN;
        simulator.set("fault=cuvidCreateDecoder:1:CUDA_ERROR_OUT_OF_MEMORY");
        let made = crate::nvdec::create(simulator, 4, 4);
        assert_eq!(made.err(), Some(CUresult::CUDA_ERROR_OUT_OF_MEMORY));
        let decoder = Decoder::new(simulator);
        simulator.set("fault=cuvidDecodePicture:1:CUDA_ERROR_UNKNOWN");
        simulator.set("fault=cuvidMapVideoFrame64:1:CUDA_ERROR_UNKNOWN");
        assert_eq!(decoder.decode(0, 1), unknown);
        assert_eq!(decoder.decode(0, 1), CUresult::CUDA_SUCCESS);
        assert_eq!(decoder.map(0, null_mut()).err(), Some(unknown));
        let mapped = decoder.map(0, null_mut()).unwrap();
        simulator.set("fault=cuvidUnmapVideoFrame64:1:CUDA_ERROR_UNKNOWN");
        simulator.set("clear_faults=");
        assert_eq!(decoder.unmap(mapped), CUresult::CUDA_SUCCESS);
        assert_eq!(decoder.destroy(), CUresult::CUDA_SUCCESS);
        close(0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}
