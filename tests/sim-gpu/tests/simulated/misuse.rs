//! Each misuse is committed once and must be found; correct use must not be reported.

use std::ffi::c_void;
use std::ptr::null_mut;

use cudarc::driver::sys;
use vas_sim_gpu::testing::SimulatedGpu;

use crate::driver::{
    NON_BLOCKING, Pinned, assert_found, call, close, device_memory, event, map_pages, ok, open,
    order, rows_down, stream, while_held,
};
use crate::nvdec::{Decoder, HEIGHT, WIDTH, expected};

#[test]
fn the_right_way_is_clean() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let (decoding, copying) = (stream(), stream());
        let decoder = Decoder::new(simulator);
        let slot = Pinned::new(WIDTH * HEIGHT * 3 / 2);
        let mapped = decoder.picture(7, decoding);
        order(decoding, copying);
        let copy = rows_down(mapped.address, mapped.pitch, slot.0, WIDTH, HEIGHT * 3 / 2);
        ok!(sys::cuMemcpy2DAsync_v2(&copy, copying));
        ok!(sys::cuStreamSynchronize(copying));
        assert_eq!(slot.bytes(), expected(7).picture(WIDTH, HEIGHT, 8));
        assert_eq!(decoder.unmap(mapped), crate::driver::OK);
        assert_eq!(decoder.destroy(), crate::driver::OK);
        slot.free();
        ok!(sys::cuStreamDestroy_v2(decoding));
        ok!(sys::cuStreamDestroy_v2(copying));
        close(0);
        assert_eq!(simulator.level("copied_bytes"), (WIDTH * HEIGHT * 3 / 2) as u64);
        assert_eq!(simulator.level("device_bytes"), 0);
    }) else {
        return;
    };
    assert_found(&run, &[]);
    run.report.assert_clean(&[]);
    let copies = run.calls.iter().filter(|call| call.function == "cuMemcpy2DAsync_v2");
    let copies: Vec<_> =
        copies.map(|call| (call.device, call.bytes, call.status.as_str())).collect();
    assert_eq!(copies, [(Some(0), (WIDTH * HEIGHT * 3 / 2) as u64, "CUDA_SUCCESS")]);
}

#[test]
fn a_call_within_a_host_function() {
    extern "C" fn calls_the_driver(result: *mut c_void) {
        let mut count = 0;
        let status = call!(sys::cuDeviceGetCount(&mut count));
        // SAFETY: the test passes memory for the result and waits for it.
        unsafe { result.cast::<u32>().write(status as u32) }
    }
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        open(0);
        let mut result = 0u32;
        let place = (&raw mut result).cast();
        // SAFETY: as C declares it.
        let function: unsafe extern "C" fn(*mut c_void) = calls_the_driver;
        ok!(sys::cuLaunchHostFunc(null_mut(), Some(function), place));
        ok!(sys::cuCtxSynchronize());
        assert_eq!(result, sys::CUresult::CUDA_ERROR_NOT_PERMITTED as u32);
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["host_function_call"]);
}

#[test]
fn a_call_on_a_thread_that_must_make_none() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        simulator.forbid_this_thread(true);
        ok!(sys::cuCtxSynchronize());
        assert_eq!(simulator.report().count("forbidden_thread"), 1);
        simulator.forbid_this_thread(false);
        ok!(sys::cuCtxSynchronize());
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["forbidden_thread"]);
}

#[test]
fn a_call_that_a_rule_keeps_from_a_thread() {
    let gpu = SimulatedGpu::new().set("forbid", "tap-:cuCtxSynchronize,cuStreamQuery");
    let Some(run) = gpu.in_child(|_| {
        let context = open(0) as usize;
        let calls = move || {
            ok!(sys::cuCtxSetCurrent(context as _));
            ok!(sys::cuCtxSynchronize());
        };
        for name in ["tap-1", "reaper"] {
            std::thread::Builder::new().name(name.into()).spawn(calls).unwrap().join().unwrap();
        }
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["forbidden_thread"]);
    assert!(run.report.misuses[0].words.contains("thread tap-1"), "{:?}", run.report);
}

#[test]
fn a_surface_used_after_unmapping() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let decoder = Decoder::new(simulator);
        let slot = Pinned::new(WIDTH * HEIGHT);
        let mapped = decoder.picture(1, null_mut());
        decoder.unmap(mapped);
        let copy = rows_down(mapped.address, mapped.pitch, slot.0, WIDTH, HEIGHT);
        let status = call!(sys::cuMemcpy2DAsync_v2(&copy, null_mut()));
        assert_eq!(status, sys::CUresult::CUDA_ERROR_INVALID_VALUE);
        slot.free();
        decoder.destroy();
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["use_after_unmap"]);
}

#[test]
fn a_surface_copied_without_waiting_for_its_picture() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let (decoding, copying) = (stream(), stream());
        let decoder = Decoder::new(simulator);
        let slot = Pinned::new(WIDTH * HEIGHT);
        let mapped = decoder.picture(1, decoding);
        let copy = rows_down(mapped.address, mapped.pitch, slot.0, WIDTH, HEIGHT);
        ok!(sys::cuMemcpy2DAsync_v2(&copy, copying));
        assert_eq!(simulator.report().count("unordered_copy"), 1);
        // Work that the host saw finished is ordered too.
        ok!(sys::cuStreamSynchronize(decoding));
        ok!(sys::cuMemcpy2DAsync_v2(&copy, copying));
        ok!(sys::cuStreamSynchronize(copying));
        // An event recorded too early orders nothing.
        let early = event();
        ok!(sys::cuEventRecord(early, decoding));
        let second = decoder.picture(2, decoding);
        ok!(sys::cuStreamWaitEvent(copying, early, 0));
        let copy = rows_down(second.address, second.pitch, slot.0, WIDTH, HEIGHT);
        ok!(sys::cuMemcpy2DAsync_v2(&copy, copying));
        ok!(sys::cuStreamSynchronize(copying));
        decoder.unmap(mapped);
        decoder.unmap(second);
        decoder.destroy();
        slot.free();
        ok!(sys::cuEventDestroy_v2(early));
        ok!(sys::cuStreamDestroy_v2(decoding));
        ok!(sys::cuStreamDestroy_v2(copying));
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["unordered_copy", "unordered_copy"]);
}

#[test]
fn the_default_stream_is_ordered_with_blocking_streams_only() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let decoder = Decoder::new(simulator);
        let slot = Pinned::new(WIDTH * HEIGHT);
        let mapped = decoder.picture(1, null_mut());
        let copy = rows_down(mapped.address, mapped.pitch, slot.0, WIDTH, HEIGHT);
        for flags in [0, NON_BLOCKING] {
            let mut copying = null_mut();
            ok!(sys::cuStreamCreate(&mut copying, flags));
            ok!(sys::cuMemcpy2DAsync_v2(&copy, copying));
            assert_eq!(simulator.report().count("unordered_copy"), flags as usize);
            // Not synchronized: that would order the next one.
            ok!(sys::cuStreamDestroy_v2(copying));
        }
        // The streams are destroyed, but the context waits for their work.
        ok!(sys::cuCtxSynchronize());
        slot.free();
        decoder.unmap(mapped);
        decoder.destroy();
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["unordered_copy"]);
}

#[test]
fn an_access_beyond_the_picture() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let decoder = Decoder::new(simulator);
        let slot = Pinned::new(WIDTH * HEIGHT * 2);
        let mapped = decoder.picture(1, null_mut());
        let rows = HEIGHT * 3 / 2 + 1;
        let copy = rows_down(mapped.address, mapped.pitch, slot.0, WIDTH, rows);
        let status = call!(sys::cuMemcpy2DAsync_v2(&copy, null_mut()));
        assert_eq!(status, sys::CUresult::CUDA_ERROR_INVALID_VALUE);
        slot.free();
        decoder.unmap(mapped);
        decoder.destroy();
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["out_of_bounds"]);
}

#[test]
fn a_surface_unmapped_while_a_copy_uses_it() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let (decoding, copying) = (stream(), stream());
        let decoder = Decoder::new(simulator);
        let slot = Pinned::new(WIDTH * HEIGHT);
        // On the output stream itself the next picture comes after the copy.
        let mapped = decoder.picture(1, decoding);
        let copy = rows_down(mapped.address, mapped.pitch, slot.0, WIDTH, HEIGHT);
        while_held(decoding, || {
            ok!(sys::cuMemcpy2DAsync_v2(&copy, decoding));
            decoder.unmap(mapped);
        });
        assert_eq!(simulator.report().misuses, []);
        let mapped = decoder.picture(2, decoding);
        order(decoding, copying);
        let copy = rows_down(mapped.address, mapped.pitch, slot.0, WIDTH, HEIGHT);
        while_held(copying, || {
            ok!(sys::cuMemcpy2DAsync_v2(&copy, copying));
            decoder.unmap(mapped);
        });
        decoder.destroy();
        slot.free();
        ok!(sys::cuStreamDestroy_v2(decoding));
        ok!(sys::cuStreamDestroy_v2(copying));
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["unmap_in_use"]);
}

#[test]
fn what_is_in_use_destroyed() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let decoder = Decoder::new(simulator);
        decoder.picture(1, null_mut());
        decoder.destroy();
        assert_eq!(simulator.report().count("destroy_in_use"), 1);
        assert_eq!(simulator.level("maps"), 0);
        let mut context = null_mut();
        ok!(sys::cuCtxCreate_v2(&mut context, 0, 0));
        let decoder = Decoder::new(simulator);
        ok!(sys::cuCtxDestroy_v2(context));
        decoder.destroy();
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["destroy_in_use", "destroy_in_use"]);
}

#[test]
fn handles_used_after_their_destruction() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        open(0);
        let (stream, event) = (stream(), event());
        ok!(sys::cuStreamDestroy_v2(stream));
        let status = call!(sys::cuStreamSynchronize(stream));
        assert_eq!(status, sys::CUresult::CUDA_ERROR_INVALID_HANDLE);
        ok!(sys::cuEventDestroy_v2(event));
        let status = call!(sys::cuEventDestroy_v2(event));
        assert_eq!(status, sys::CUresult::CUDA_ERROR_INVALID_HANDLE);
        let memory = device_memory(16);
        ok!(sys::cuMemFree_v2(memory));
        let status = call!(sys::cuMemFree_v2(memory));
        assert_eq!(status, sys::CUresult::CUDA_ERROR_INVALID_VALUE);
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["use_after_destroy", "use_after_destroy", "use_after_free"]);
}

#[test]
fn all_that_is_left_at_the_end() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        stream();
        event();
        device_memory(4096);
        Pinned::new(4096);
        ok!(sys::cuMemHostRegister_v2(map_pages(4096), 4096, 0));
        Decoder::new(simulator).picture(1, null_mut());
    }) else {
        return;
    };
    assert_found(&run, &["leak"; 8]);
    let kinds = ["context", "stream", "event", "decoder", "pinned range", "pinned range"];
    let kinds =
        [&kinds[..], &["device memory allocation", "device memory mapped surface"]].concat();
    for (misuse, kind) in run.report.misuses.iter().zip(kinds) {
        assert!(misuse.words.starts_with(kind), "{misuse:?}, not {kind}");
    }
}
