//! Host memory: what must be pinned, and when pinning is allowed.

use std::ptr::null_mut;

use cudarc::driver::sys;
use vas_sim_gpu::testing::SimulatedGpu;

use crate::driver::{
    assert_found, call, close, device_memory, map_file, map_pages, ok, open, while_held,
};

const BYTES: usize = 256 << 10;

#[test]
fn pageable_memory_in_an_asynchronous_copy() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        open(0);
        let memory = device_memory(BYTES);
        let mut pageable = vec![0u8; BYTES];
        ok!(sys::cuMemcpyDtoHAsync_v2(pageable.as_mut_ptr().cast(), memory, BYTES, null_mut()));
        assert!(pageable.iter().any(|byte| *byte != 0), "device memory is never blank");
        // A synchronous copy accepts any memory.
        ok!(sys::cuMemcpyDtoH_v2(pageable.as_mut_ptr().cast(), memory, BYTES));
        ok!(sys::cuMemFree_v2(memory));
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["pageable"]);
}

#[test]
fn ranges_pinned_twice() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let pages = map_pages(BYTES);
        ok!(sys::cuMemHostRegister_v2(pages, BYTES, 1));
        assert_eq!(simulator.level("pinned_bytes"), BYTES as u64);
        let inner = pages.wrapping_byte_add(4096);
        let status = call!(sys::cuMemHostRegister_v2(inner, 4096, 1));
        assert_eq!(status, sys::CUresult::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
        ok!(sys::cuMemHostUnregister(pages));
        let status = call!(sys::cuMemHostUnregister(pages));
        assert_eq!(status, sys::CUresult::CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["overlapping_registration"]);
}

#[test]
fn ranges_unpinned_while_copies_use_them() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let (pages, other, memory) = (map_pages(BYTES), map_pages(BYTES), device_memory(BYTES));
        ok!(sys::cuMemHostRegister_v2(pages, BYTES, 0));
        while_held(null_mut(), || {
            ok!(sys::cuMemcpyDtoHAsync_v2(pages, memory, BYTES, null_mut()));
            // Pinning another range is allowed, but may wait for the copy on a real device.
            ok!(sys::cuMemHostRegister_v2(other, BYTES, 0));
            assert_eq!(simulator.report().misuses, []);
            ok!(sys::cuMemHostUnregister(pages));
        });
        ok!(sys::cuMemHostUnregister(other));
        ok!(sys::cuMemFree_v2(memory));
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["unregister_in_use"]);
    assert_eq!(run.report.notes.len(), 2, "{:#?}", run.report);
}

#[test]
fn pages_given_back_before_they_are_unpinned() {
    let Some(run) = SimulatedGpu::new().in_child(|_| {
        open(0);
        let pages = map_pages(BYTES);
        ok!(sys::cuMemHostRegister_v2(pages, BYTES, 0));
        // SAFETY: the mapping is this test's own.
        assert_eq!(unsafe { libc::munmap(pages, BYTES) }, 0);
        ok!(sys::cuMemHostUnregister(pages));
        let status = call!(sys::cuMemHostRegister_v2(pages, BYTES, 0));
        assert_eq!(status, sys::CUresult::CUDA_ERROR_INVALID_VALUE);
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &["unregister_unmapped"]);
}

#[test]
fn pages_that_cannot_be_had_are_not_pinned() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let file = tempfile::tempfile().unwrap();
        let pages = map_file(&file, BYTES);
        // Beyond the end of the file: touching it would be SIGBUS.
        let status = call!(sys::cuMemHostRegister_v2(pages, BYTES, 0));
        assert_eq!(status, sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        assert_eq!(simulator.level("pinned_bytes"), 0);
        file.set_len(BYTES as u64).unwrap();
        ok!(sys::cuMemHostRegister_v2(pages, BYTES, 0));
        ok!(sys::cuMemHostUnregister(pages));
        close(0);
    }) else {
        return;
    };
    assert_found(&run, &[]);
}
