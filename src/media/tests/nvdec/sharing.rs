//! All users of a GPU share one context and one decode stream, until the last is dropped.

use std::sync::Arc;

use vas_media::{CudaDevice, DecoderKind, Frame, GpuError, GpuMemory, open_nvdec};
use vas_sim_gpu::testing::SimulatedGpu;

use crate::clips::{Clip, FRAMES, decode};

#[test]
fn ten_decoders_share_a_context() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let clip = Clip::small();
        let device = CudaDevice::open(0).unwrap();
        std::thread::scope(|scope| {
            let camera = || {
                let mut source = clip.open();
                let device = CudaDevice::open(0).unwrap();
                let mut decoder = open_nvdec(source.stream(), &device, 1).unwrap();
                let mut count = 0;
                let errors = decode(&mut *source, &mut *decoder, |_| count += 1);
                assert!(errors.is_empty(), "{errors:?}");
                assert_eq!((count, decoder.kind()), (FRAMES, DecoderKind::Nvdec));
            };
            let cameras: Vec<_> = (0..10).map(|_| scope.spawn(camera)).collect();
            cameras.into_iter().for_each(|camera| camera.join().unwrap());
        });
        assert!(Arc::ptr_eq(&device, &CudaDevice::open(0).unwrap()));
        assert_eq!(simulator.level("peak_contexts"), 1);
        drop(device);
        assert_eq!(simulator.level("contexts"), 0);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
    let count = |function: &str| run.calls.iter().filter(|c| c.function == function).count();
    assert_eq!(count("cuDevicePrimaryCtxRetain"), 1);
    assert_eq!(count("cuStreamCreate"), 1);
    assert_eq!(count("cuvidCreateDecoder"), 10);
    // Flags only apply to contexts that are created afterwards.
    let first = |function: &str| run.calls.iter().position(|call| call.function == function);
    assert!(first("cuDevicePrimaryCtxSetFlags_v2") < first("cuDevicePrimaryCtxRetain"));
    // A decoder downloads nothing.
    assert!(run.calls.iter().all(|call| !call.function.starts_with("cuMemcpy")));
}

#[test]
fn a_frame_keeps_the_device_open() {
    let Some(run) = SimulatedGpu::new().in_child(|simulator| {
        let clip = Clip::small();
        let mut source = clip.open();
        let device = CudaDevice::open(0).unwrap();
        let mut decoder = open_nvdec(source.stream(), &device, 1).unwrap();
        let mut last = Frame::new();
        decode(&mut *source, &mut *decoder, |frame| last.take_from(frame));
        drop((decoder, device));
        assert_eq!((simulator.level("contexts"), simulator.level("decoders")), (1, 1));
        // On another thread than the decoder's, as the engine does.
        std::thread::spawn(move || drop(last)).join().unwrap();
        assert_eq!((simulator.level("contexts"), simulator.level("decoders")), (0, 0));
        // The device can be opened again.
        CudaDevice::open(0).unwrap().health().unwrap();
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn devices_are_counted_and_described() {
    let gpu = SimulatedGpu::new().set("devices", 2).set("memory_mib", 1024);
    let Some(run) = gpu.set("context_mib", 256).in_child(|_| {
        assert_eq!(CudaDevice::count(), Ok(2));
        let device = CudaDevice::open(1).unwrap();
        assert_eq!(device.ordinal(), 1);
        assert!(device.name().starts_with("Simulated GPU 1"), "{}", device.name());
        let expected = GpuMemory { free: 768 << 20, total: 1024 << 20 };
        assert_eq!(device.memory(), Ok(expected));
        let missing = GpuError::NoSuchDevice { ordinal: 2, count: 2 };
        assert_eq!(CudaDevice::open(2).err(), Some(missing));
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_context_that_does_not_fit_is_an_error() {
    let gpu = SimulatedGpu::new().set("memory_mib", 128).set("context_mib", 256);
    let Some(run) = gpu.in_child(|_| {
        let error = CudaDevice::open(0).unwrap_err();
        assert!(matches!(error, GpuError::NoMemory { ordinal: 0, .. }), "{error}");
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}

#[test]
fn a_host_without_gpus_is_an_error() {
    let Some(run) = SimulatedGpu::new().set("devices", 0).in_child(|_| {
        let error = CudaDevice::open(0).unwrap_err();
        let GpuError::NoDevice { cause } = &error else { panic!("{error}") };
        assert_eq!(cause, "cuInit: CUDA_ERROR_NO_DEVICE");
        assert_eq!(CudaDevice::count(), Err(error));
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}
