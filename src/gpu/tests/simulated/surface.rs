//! Surfaces as a decoder delivers them: padded, cropped, complete only on the decode stream.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cudarc::driver::sys::{self, CUdeviceptr, CUresult, CUstream};
use vas_gpu::{DevicePlane, Planes, Samples, Surface};
use vas_scale::{Plan, Plane, Source, reference};
use vas_sim_gpu::testing::Simulator;

/// Makes a driver call and asserts that it succeeds.
macro_rules! ok {
    ($call:expr) => {
        // SAFETY: the test meets the call's documented requirements.
        assert_eq!(unsafe { $call }, cudarc::driver::sys::CUresult::CUDA_SUCCESS)
    };
}

/// The layout of a surface, and the part of it that is visible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pitch: usize,
    /// Rows of luma before chroma begins.
    pub(crate) coded_height: usize,
    /// Even, as 4:2:0 requires.
    pub(crate) crop_left: usize,
    pub(crate) crop_top: usize,
    pub(crate) samples: Samples,
}

impl Shape {
    pub(crate) fn plain(width: usize, height: usize) -> Self {
        let (pitch, coded_height) = (width.next_multiple_of(64), height.next_multiple_of(16));
        let samples = Samples::Bytes;
        Self { width, height, pitch, coded_height, crop_left: 0, crop_top: 0, samples }
    }

    /// The same with 16-bit words.
    pub(crate) fn words(self) -> Self {
        Self { pitch: 2 * self.pitch, samples: Samples::Words, ..self }
    }

    fn sample_bytes(&self) -> usize {
        if self.samples == Samples::Words { 2 } else { 1 }
    }

    /// Another pitch, padding and crop for each seed.
    pub(crate) fn drawn(width: usize, height: usize, seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let (crop_left, crop_top) = (2 * noise.below(9), 2 * noise.below(9));
        let pitch = width.next_multiple_of(2) + crop_left + noise.below(97);
        let coded_height = (height + crop_top).next_multiple_of(2) + 2 * noise.below(11);
        let samples = Samples::Bytes;
        Self { width, height, pitch, coded_height, crop_left, crop_top, samples }
    }

    fn bytes(&self) -> usize {
        self.pitch * (self.coded_height + self.coded_height / 2 + 1)
    }

    fn luma_at(&self) -> usize {
        self.crop_top * self.pitch + self.crop_left * self.sample_bytes()
    }

    fn chroma_at(&self) -> usize {
        (self.coded_height + self.crop_top / 2) * self.pitch + self.crop_left * self.sample_bytes()
    }
}

/// xorshift64*.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }
}

/// The visible picture, rows without padding: of a surface, or as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visible {
    pub(crate) luma: Vec<u8>,
    pub(crate) chroma: Vec<u8>,
}

impl Visible {
    /// What the document makes of this surface's picture.
    pub(crate) fn converted(&self, shape: Shape, plan: &Plan) -> Self {
        let plane = |bytes, width: usize| Plane::new(bytes, shape.sample_bytes() * width);
        let y = plane(&self.luma, shape.width);
        let uv = plane(&self.chroma, shape.width.next_multiple_of(2));
        let source = match shape.samples {
            Samples::Bytes => Source::Nv12 { y, uv },
            Samples::Words => Source::P016 { y, uv },
        };
        let reference::Picture { luma, chroma } = reference::scale(&source, plan);
        Self { luma, chroma }
    }
}

/// A picture in device memory. Like unmapping, its drop calls the driver.
pub(crate) struct TestSurface {
    planes: Planes,
    device: CUdeviceptr,
    /// The pinned memory that it is filled from.
    host: *mut c_void,
    /// Counts drops during which copies run: for the only frame in flight.
    pub(crate) busy_drops: Option<Arc<AtomicU32>>,
    /// Where it panics.
    pub(crate) panics: Option<Panics>,
}

/// The place where a surface panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Panics {
    /// On the engine's thread.
    Planes,
    /// On the reaper.
    Drop,
}

// SAFETY: addresses, given back once.
unsafe impl Send for TestSurface {}

impl TestSurface {
    /// Queues a picture of noise on `stream`, in the current context.
    pub(crate) fn decode(shape: Shape, seed: u64, stream: CUstream) -> (Self, Visible) {
        let mut noise = Noise::new(seed);
        let bytes: Vec<u8> = (0..shape.bytes()).map(|_| (noise.next() >> 56) as u8).collect();
        let (mut device, mut host) = (0, null_mut());
        ok!(sys::cuMemAlloc_v2(&mut device, bytes.len()));
        ok!(sys::cuMemHostAlloc(&mut host, bytes.len(), 0));
        // SAFETY: that many bytes were allocated.
        unsafe { host.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        ok!(sys::cuMemcpyHtoDAsync_v2(device, host, bytes.len(), stream));
        let plane = |at: usize| DevicePlane { address: device + at as u64, pitch: shape.pitch };
        let planes = Planes {
            width: shape.width as u32,
            height: shape.height as u32,
            samples: shape.samples,
            luma: plane(shape.luma_at()),
            chroma: plane(shape.chroma_at()),
        };
        let rows = |at: usize, width: usize, count: usize| -> Vec<u8> {
            (0..count).flat_map(|y| &bytes[at + y * shape.pitch..][..width]).copied().collect()
        };
        let visible = Visible {
            luma: rows(shape.luma_at(), shape.sample_bytes() * shape.width, shape.height),
            chroma: rows(
                shape.chroma_at(),
                shape.sample_bytes() * shape.width.next_multiple_of(2),
                shape.height.div_ceil(2),
            ),
        };
        (Self { planes, device, host, busy_drops: None, panics: None }, visible)
    }
}

impl Surface for TestSurface {
    fn planes(&self) -> Planes {
        assert_ne!(self.panics, Some(Panics::Planes), "no planes");
        self.planes
    }
}

impl Drop for TestSurface {
    fn drop(&mut self) {
        if let Some(busy_drops) = &self.busy_drops {
            let copies = Simulator::of_this_process().level("pending_copies");
            busy_drops.fetch_add(u32::from(copies > 0), Ordering::SeqCst);
        }
        // SAFETY: allocated by us. On a lost device they fail, and give back what they can.
        let freed: [CUresult; 2] =
            unsafe { [sys::cuMemFree_v2(self.device), sys::cuMemFreeHost(self.host)] };
        for code in freed {
            assert_ne!(code, CUresult::CUDA_ERROR_INVALID_CONTEXT, "dropped without a context");
        }
        assert_ne!(self.panics, Some(Panics::Drop), "not to be dropped");
    }
}
