//! A way down from a GPU for those who need a picture in memory, on their own thread and stream.
//!
//! The decode stream is all cameras': a copy that is queued there, as FFmpeg's own `av_hwframe_transfer_data`
//! does, stands before the pictures of every decoder on the GPU, and so does the wait for it.

use std::ptr::{self, null_mut};
use std::sync::Arc;

use cudarc::driver::sys::{CUDA_MEMCPY2D, CUevent, CUmemorytype, CUstream};
use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{AV_PIX_FMT_NV12, AV_PIX_FMT_P010LE};
use vas_cuda::{CudaError, Functions};

use super::driver::{Driver, words};
use super::{CudaDevice, GpuError};
use crate::av::{AvError, check};
use crate::frame::Frame;
use crate::surface::{DevicePlane, Surface, SurfaceFormat};

/// `CU_STREAM_NON_BLOCKING`: no order with the default stream.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_BLOCKING_SYNC`, so that who waits sleeps, and `CU_EVENT_DISABLE_TIMING`.
const BLOCKING_WITHOUT_TIME: u32 = 1 | 2;

/// A copy stream of its own on one GPU. Holds the device.
pub(crate) struct Downloader {
    driver: Driver,
    device: Arc<CudaDevice>,
    stream: CUstream,
    /// Stands for what the decoders have queued when a copy begins.
    decoded: CUevent,
    /// Stands for a copy's end.
    done: CUevent,
}

// SAFETY: the driver takes streams and events from any thread; this is their only handle.
unsafe impl Send for Downloader {}

impl Downloader {
    pub(crate) fn open(ordinal: usize) -> Result<Self, GpuError> {
        let (driver, device) = (Driver::get()?, CudaDevice::open(ordinal)?);
        let (stream, decoded, done) = (null_mut(), null_mut(), null_mut());
        let mut this = Self { driver, device, stream, decoded, done };
        let context = this.device.context().cu_ctx();
        let functions = driver.functions();
        let create = || {
            // SAFETY: writes handles to places of ours, with the context current. What was made before a call
            // that fails is destroyed with `this`.
            unsafe {
                functions.cuStreamCreate(&mut this.stream, NON_BLOCKING)?;
                functions.cuEventCreate(&mut this.decoded, BLOCKING_WITHOUT_TIME)?;
                functions.cuEventCreate(&mut this.done, BLOCKING_WITHOUT_TIME)
            }
        };
        // SAFETY: a context that `device` keeps alive.
        unsafe { driver.within(context, create) }.map_err(|error| this.failed(&error))?;
        Ok(this)
    }

    /// The GPU.
    pub(crate) fn ordinal(&self) -> usize {
        self.device.ordinal()
    }

    /// Makes `into` the picture of `frame`, in memory; waits until it is there.
    pub(crate) fn bring(&self, frame: &Frame, into: &mut Frame) -> Result<(), GpuError> {
        let ordinal = self.ordinal();
        let said = |error: AvError| GpuError::Failed { ordinal, said: format!("FFmpeg: {error}") };
        let surface = frame.surface().filter(|surface| surface.device == ordinal);
        let surface = surface.ok_or_else(|| GpuError::Failed {
            ordinal,
            said: format!("a {} frame without a picture on it", frame.format_name()),
        })?;
        let format = match surface.format {
            SurfaceFormat::Nv12 => AV_PIX_FMT_NV12,
            SurfaceFormat::P010 => AV_PIX_FMT_P010LE,
        };
        *into = Frame::with_buffer(format, surface.size.0, surface.size.1).map_err(said)?;
        // SAFETY: two valid frames.
        check(unsafe { ffi::av_frame_copy_props(into.as_mut_ptr(), frame.as_ptr()) })
            .map_err(said)?;
        into.inherit_tags(frame);
        let functions = self.driver.functions();
        // SAFETY: a context that `device` keeps alive.
        unsafe {
            self.driver
                .within(self.device.context().cu_ctx(), || self.copy(functions, &surface, into))
        }
        .map_err(|error| self.failed(&error))
    }

    /// With the context current.
    fn copy(
        &self,
        functions: &Functions,
        surface: &Surface,
        into: &mut Frame,
    ) -> Result<(), CudaError> {
        let planes = [(0, surface.luma), (1, surface.chroma)];
        let copies = planes.map(|(plane, from)| rows_down(from, into, plane));
        // SAFETY: stream and events are ours and alive, the decode stream is the device's. The rows lie within
        // the surface, which `surface` has checked and its frame keeps, and within planes of `into` that are of
        // the same picture. None of it goes before the wait below says that the copies have ended; if that
        // fails, the context is dead and nothing of it runs.
        unsafe {
            functions.cuEventRecord(self.decoded, self.device.decode_stream())?;
            functions.cuStreamWaitEvent(self.stream, self.decoded, 0)?;
            let queued =
                copies.iter().try_for_each(|copy| functions.cuMemcpy2DAsync_v2(copy, self.stream));
            functions.cuEventRecord(self.done, self.stream)?;
            functions.cuEventSynchronize(self.done)?;
            queued
        }
    }

    fn failed(&self, error: &CudaError) -> GpuError {
        // A call that fails may be the first sign of a lost device.
        match self.device.health() {
            Err(lost) => lost,
            Ok(()) => GpuError::Failed { ordinal: self.ordinal(), said: words(error) },
        }
    }
}

impl Drop for Downloader {
    fn drop(&mut self) {
        let functions = self.driver.functions();
        let destroy = || {
            // SAFETY: handles of ours, destroyed once, with nothing queued: each copy was waited for.
            unsafe {
                let events = [self.decoded, self.done].into_iter().filter(|event| !event.is_null());
                let events = events.map(|event| functions.cuEventDestroy_v2(event));
                let destroyed = events.fold(Ok(()), Result::and);
                match self.stream.is_null() {
                    true => destroyed,
                    false => functions.cuStreamDestroy_v2(self.stream).and(destroyed),
                }
            }
        };
        // SAFETY: a context that `device` keeps alive.
        let destroyed = unsafe { self.driver.within(self.device.context().cu_ctx(), destroy) };
        if let Err(error) = destroyed
            && self.device.known_health().is_ok()
        {
            tracing::warn!(gpu = self.ordinal(), "{}", words(&error));
        }
    }
}

/// The rows of a plane, to the same plane of a frame in memory.
fn rows_down(from: DevicePlane, into: &mut Frame, plane: usize) -> CUDA_MEMCPY2D {
    let to = into.plane_mut(plane).as_mut_ptr();
    CUDA_MEMCPY2D {
        srcXInBytes: 0,
        srcY: 0,
        srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
        srcHost: ptr::null(),
        srcDevice: from.address,
        srcArray: null_mut(),
        srcPitch: from.pitch,
        dstXInBytes: 0,
        dstY: 0,
        dstMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
        dstHost: to.cast(),
        dstDevice: 0,
        dstArray: null_mut(),
        dstPitch: into.stride(plane),
        WidthInBytes: from.row_bytes,
        Height: from.rows,
    }
}
