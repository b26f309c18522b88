//! Downloads surfaces for tests: a copy stream, ordered by an event, into pinned memory.

use std::ptr::null_mut;
use std::sync::Arc;

use cudarc::driver::sys::{self, CUDA_MEMCPY2D_st, CUmemorytype, CUresult, CUstream};
use vas_media::{CudaDevice, DevicePlane, Frame};

use crate::clips::md5;

/// Enough for the largest picture in these tests, in 16-bit words.
const BYTES: usize = 1920 * 1088 * 3;

/// Makes a driver call and asserts that it succeeds.
macro_rules! ok {
    ($call:expr) => {
        // SAFETY: the test passes what the call's documentation requires.
        assert_eq!(unsafe { $call }, CUresult::CUDA_SUCCESS)
    };
}

pub(crate) struct Download {
    device: Arc<CudaDevice>,
    stream: CUstream,
    pinned: *mut u8,
}

impl Download {
    pub(crate) fn new(device: &Arc<CudaDevice>) -> Self {
        device.context().bind_to_thread().unwrap();
        let (mut stream, mut pinned) = (null_mut(), null_mut());
        ok!(sys::cuStreamCreate(&mut stream, 1));
        ok!(sys::cuMemHostAlloc(&mut pinned, BYTES, 0));
        Self { device: Arc::clone(device), stream, pinned: pinned.cast() }
    }

    /// The visible picture, luma then chroma, without padding between rows.
    pub(crate) fn picture(&self, frame: &Frame) -> Vec<u8> {
        let surface = frame.surface().expect("a frame on the device");
        let mut event = null_mut();
        ok!(sys::cuEventCreate(&mut event, 1 | 2));
        ok!(sys::cuEventRecord(event, self.device.decode_stream()));
        ok!(sys::cuStreamWaitEvent(self.stream, event, 0));
        let mut length = 0;
        for plane in [surface.luma, surface.chroma] {
            // SAFETY: the picture fits; the assertion below checks it after the fact.
            let copy = plane_copy(plane, unsafe { self.pinned.add(length) });
            ok!(sys::cuMemcpy2DAsync_v2(&copy, self.stream));
            length += plane.row_bytes * plane.rows;
            assert!(length <= BYTES);
        }
        ok!(sys::cuStreamSynchronize(self.stream));
        ok!(sys::cuEventDestroy_v2(event));
        // SAFETY: `length` bytes of the allocation, which no copy writes any more.
        unsafe { std::slice::from_raw_parts(self.pinned, length) }.to_vec()
    }

    pub(crate) fn md5(&self, frame: &Frame) -> String {
        md5(&self.picture(frame))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        ok!(sys::cuStreamDestroy_v2(self.stream));
        ok!(sys::cuMemFreeHost(self.pinned.cast()));
    }
}

fn plane_copy(plane: DevicePlane, to: *mut u8) -> CUDA_MEMCPY2D_st {
    CUDA_MEMCPY2D_st {
        srcXInBytes: 0,
        srcY: 0,
        srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
        srcHost: std::ptr::null(),
        srcDevice: plane.address,
        srcArray: null_mut(),
        srcPitch: plane.pitch,
        dstXInBytes: 0,
        dstY: 0,
        dstMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
        dstHost: to.cast(),
        dstDevice: 0,
        dstArray: null_mut(),
        dstPitch: plane.row_bytes,
        WidthInBytes: plane.row_bytes,
        Height: plane.rows,
    }
}
