//! Streams and events keep CUDA's order, and no more.

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use cudarc::driver::sys::{self, CUresult};
use vas_sim_gpu::testing::SimulatedGpu;

use crate::driver::{Pinned, call, close, device_memory, event, ok, open, stream};
use crate::nvdec::Decoder;

const BYTES: usize = 64 << 10;

#[test]
fn an_event_is_what_it_was_when_it_was_waited_for() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        open(0);
        let (slow, quick) = (stream(), stream());
        let (memory, slot) = (device_memory(BYTES), Pinned::new(BYTES));
        let recorded = event();
        assert_eq!(call!(sys::cuEventQuery(recorded)), CUresult::CUDA_SUCCESS);
        ok!(sys::cuEventRecord(recorded, quick));
        ok!(sys::cuEventSynchronize(recorded));
        // A copy of an hour: a wait for it would not return.
        simulator.set("fault=cuMemcpyDtoHAsync_v2:1:slow=3600000000");
        ok!(sys::cuMemcpyDtoHAsync_v2(slot.0.cast(), memory, BYTES, slow));
        ok!(sys::cuStreamWaitEvent(quick, recorded, 0));
        ok!(sys::cuEventRecord(recorded, slow));
        assert_eq!(call!(sys::cuEventQuery(recorded)), CUresult::CUDA_ERROR_NOT_READY);
        assert_eq!(call!(sys::cuStreamQuery(slow)), CUresult::CUDA_ERROR_NOT_READY);
        // The other stream waits for the first recording.
        ok!(sys::cuStreamSynchronize(quick));
        assert_eq!(call!(sys::cuStreamQuery(quick)), CUresult::CUDA_SUCCESS);
        assert_eq!(simulator.level("pending_copies"), 1);
        // The end of the process does not wait either; live objects are leaks.
    }) else {
        return;
    };
    assert!(run.report.misuses.iter().all(|misuse| misuse.kind == "leak"), "{:#?}", run.report);
}

#[test]
fn work_takes_the_time_that_was_asked_for() {
    const COPY: Duration = Duration::from_millis(40);
    const DECODE: Duration = Duration::from_millis(20);
    let gpu = SimulatedGpu::new().set("jitter_percent", 0).set("nvdecs", 1);
    let Some(run) = gpu.in_child(|simulator| {
        open(0);
        let (memory, slot) = (device_memory(1 << 20), Pinned::new(1 << 20));
        let streams = [stream(), stream()];
        simulator.set(&format!("copy_us_per_mib={}", COPY.as_micros()));
        let start = Instant::now();
        for stream in streams {
            ok!(sys::cuMemcpyDtoHAsync_v2(slot.0.cast(), memory, 1 << 20, stream));
        }
        ok!(sys::cuCtxSynchronize());
        // Two streams, but one link.
        assert!(start.elapsed() >= 2 * COPY);
        simulator.set(&format!("decode_us={}", DECODE.as_micros()));
        let decoder = Decoder::new(simulator);
        let start = Instant::now();
        for surface in 0..3 {
            assert_eq!(decoder.decode(surface, 1), CUresult::CUDA_SUCCESS);
        }
        // Mapping waits for the decoding, which takes one picture after another.
        let mapped = decoder.map(2, null_mut()).unwrap();
        assert!(start.elapsed() >= 3 * DECODE);
        decoder.unmap(mapped);
        decoder.destroy();
        for stream in streams {
            ok!(sys::cuStreamDestroy_v2(stream));
        }
        ok!(sys::cuMemFree_v2(memory));
        slot.free();
        close(0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_context_is_a_threads_own() {
    let Some(run) = SimulatedGpu::new().set("devices", 2).in_child(|simulator| {
        let context = open(1) as usize;
        let mut device = 7;
        ok!(sys::cuCtxGetDevice(&mut device));
        assert_eq!(device, 1);
        let other = std::thread::spawn(move || {
            let mut device = 7;
            let status = call!(sys::cuCtxGetDevice(&mut device));
            assert_eq!(status, CUresult::CUDA_ERROR_INVALID_CONTEXT);
            let mut popped = null_mut();
            let status = call!(sys::cuCtxPopCurrent_v2(&mut popped));
            assert_eq!(status, CUresult::CUDA_ERROR_INVALID_CONTEXT);
            ok!(sys::cuCtxPushCurrent_v2(context as _));
            ok!(sys::cuCtxPopCurrent_v2(&mut popped));
            assert_eq!(popped as usize, context);
        });
        other.join().unwrap();
        // Retaining it again returns the same one, with fixed flags.
        assert_eq!(open(1) as usize, context);
        assert_eq!(simulator.level("peak_contexts"), 1);
        let status = call!(sys::cuDevicePrimaryCtxSetFlags_v2(1, 4));
        assert_eq!(status, CUresult::CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE);
        close(1);
        assert_eq!(simulator.level("contexts"), 1);
        close(1);
        assert_eq!(simulator.level("contexts"), 0);
        ok!(sys::cuDevicePrimaryCtxSetFlags_v2(1, 4));
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}
