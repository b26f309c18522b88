//! Many decoders on two devices, with pictures copied on one stream per device.

use std::ptr::null_mut;

use cudarc::driver::sys::{self, CUcontext, CUresult, CUstream};
use vas_sim_gpu::testing::{SimulatedGpu, Simulator};

use crate::driver::{Pinned, close, event, ok, open, stream};
use crate::nvdec::{Decoder, HEIGHT, WIDTH, expected};

const CAMERAS: usize = 8;
const PICTURES: u8 = 60;
const BYTES: usize = WIDTH * HEIGHT * 3 / 2;

/// Shared by the cameras of one device.
#[derive(Clone, Copy)]
struct Shared {
    context: CUcontext,
    decoding: CUstream,
    copying: CUstream,
}

// SAFETY: the driver's handles may be used by any thread.
unsafe impl Send for Shared {}

impl Shared {
    fn play(self, simulator: Simulator) {
        ok!(sys::cuCtxSetCurrent(self.context));
        let (decoder, slot) = (Decoder::new(&simulator), Pinned::new(BYTES));
        let (decoded, copied) = (event(), event());
        for number in 0..PICTURES {
            let mapped = decoder.picture(number, self.decoding);
            ok!(sys::cuEventRecord(decoded, self.decoding));
            ok!(sys::cuStreamWaitEvent(self.copying, decoded, 0));
            let copy = crate::driver::rows_down(
                mapped.address,
                mapped.pitch,
                slot.0,
                WIDTH,
                HEIGHT * 3 / 2,
            );
            ok!(sys::cuMemcpy2DAsync_v2(&copy, self.copying));
            ok!(sys::cuEventRecord(copied, self.copying));
            ok!(sys::cuEventSynchronize(copied));
            assert_eq!(decoder.unmap(mapped), CUresult::CUDA_SUCCESS);
            assert!(slot.bytes() == expected(number).picture(WIDTH, HEIGHT, 8), "{number}");
        }
        decoder.destroy();
        slot.free();
        ok!(sys::cuEventDestroy_v2(decoded));
        ok!(sys::cuEventDestroy_v2(copied));
    }
}

#[test]
fn each_sees_its_own_pictures() {
    let gpu = SimulatedGpu::new().set("devices", 2).set("decode_us", 200);
    let Some(run) = gpu.in_child(|simulator| {
        let devices = [0, 1].map(|device| {
            let context = open(device);
            Shared { context, decoding: stream(), copying: stream() }
        });
        let play = |camera: usize| {
            let (simulator, shared): (Simulator, Shared) = (*simulator, devices[camera % 2]);
            std::thread::spawn(move || shared.play(simulator))
        };
        let cameras: Vec<_> = (0..CAMERAS).map(play).collect();
        for camera in cameras {
            camera.join().unwrap();
        }
        for (device, shared) in [0, 1].into_iter().zip(devices) {
            ok!(sys::cuCtxSetCurrent(shared.context));
            ok!(sys::cuStreamDestroy_v2(shared.decoding));
            ok!(sys::cuStreamDestroy_v2(shared.copying));
            close(device);
        }
        ok!(sys::cuCtxSetCurrent(null_mut()));
        assert_eq!(simulator.level("peak_contexts"), 2);
        let bytes = (CAMERAS * usize::from(PICTURES) * BYTES) as u64;
        assert_eq!(simulator.level("copied_bytes"), bytes);
    }) else {
        return;
    };
    run.report.assert_clean(&[]);
}
