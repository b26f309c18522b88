//! Copies pictures from a GPU to memory, on the caller's thread and on a stream of its own.
//!
//! All cameras share the decode stream. A copy queued there, as by FFmpeg's `av_hwframe_transfer_data`, and the wait
//! for it would delay the pictures of every decoder on the GPU.

use std::ptr::{self, null_mut};
use std::sync::Arc;

use cudarc::driver::sys::{CUDA_MEMCPY2D, CUevent, CUmemorytype, CUstream};
use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{AV_PIX_FMT_NV12, AV_PIX_FMT_P010LE};
use vas_cuda::{CudaError, Functions};

use super::driver::{Driver, describe};
use super::{CudaDevice, GpuError};
use crate::av::{AvError, check};
use crate::frame::Frame;
use crate::surface::{DevicePlane, Surface, SurfaceFormat};

/// `CU_STREAM_NON_BLOCKING`: not ordered with the default stream.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_BLOCKING_SYNC`, so that waiting threads sleep, and `CU_EVENT_DISABLE_TIMING`.
const BLOCKING_WITHOUT_TIMING: u32 = 1 | 2;

/// A stream for copies on one GPU. Keeps the device open.
pub(crate) struct Downloader {
    driver: Driver,
    device: Arc<CudaDevice>,
    stream: CUstream,
    /// Marks what the decoders have queued before a copy.
    decoded: CUevent,
    /// Marks the end of a copy.
    done: CUevent,
}

// SAFETY: streams and events may be used from any thread; this is their only handle.
unsafe impl Send for Downloader {}

impl Downloader {
    pub(crate) fn open(ordinal: usize) -> Result<Self, GpuError> {
        let (driver, device) = (Driver::get()?, CudaDevice::open(ordinal)?);
        let (stream, decoded, done) = (null_mut(), null_mut(), null_mut());
        let mut this = Self { driver, device, stream, decoded, done };
        let context = this.device.context().cu_ctx();
        let functions = driver.functions();
        let create = || {
            // SAFETY: writes handles to our own fields, with the context current. Dropping `this` destroys what was
            // created before a call that fails.
            unsafe {
                functions.cuStreamCreate(&mut this.stream, NON_BLOCKING)?;
                functions.cuEventCreate(&mut this.decoded, BLOCKING_WITHOUT_TIMING)?;
                functions.cuEventCreate(&mut this.done, BLOCKING_WITHOUT_TIMING)
            }
        };
        // SAFETY: a context that `device` keeps alive.
        unsafe { driver.with_context(context, create) }.map_err(|error| this.failed(&error))?;
        Ok(this)
    }

    /// The GPU.
    pub(crate) fn ordinal(&self) -> usize {
        self.device.ordinal()
    }

    /// Copies the picture of `frame` to memory in `into`, and waits for the copy.
    pub(crate) fn download(&self, frame: &Frame, into: &mut Frame) -> Result<(), GpuError> {
        let ordinal = self.ordinal();
        let failed =
            |error: AvError| GpuError::Failed { ordinal, cause: format!("FFmpeg: {error}") };
        let surface = frame.surface().filter(|surface| surface.device == ordinal);
        let surface = surface.ok_or_else(|| GpuError::Failed {
            ordinal,
            cause: format!("this {} frame has no picture on it", frame.format_name()),
        })?;
        let format = match surface.format {
            SurfaceFormat::Nv12 => AV_PIX_FMT_NV12,
            SurfaceFormat::P010 => AV_PIX_FMT_P010LE,
        };
        *into = Frame::with_buffer(format, surface.size.0, surface.size.1).map_err(failed)?;
        // SAFETY: two valid frames.
        check(unsafe { ffi::av_frame_copy_props(into.as_mut_ptr(), frame.as_ptr()) })
            .map_err(failed)?;
        into.inherit_tags(frame);
        let functions = self.driver.functions();
        // SAFETY: a context that `device` keeps alive.
        unsafe {
            self.driver.with_context(self.device.context().cu_ctx(), || {
                self.copy(functions, &surface, into)
            })
        }
        .map_err(|error| self.failed(&error))
    }

    /// Called with the context current.
    fn copy(
        &self,
        functions: &Functions,
        surface: &Surface,
        into: &mut Frame,
    ) -> Result<(), CudaError> {
        let planes = [(0, surface.luma), (1, surface.chroma)];
        let copies = planes.map(|(plane, from)| plane_copy(from, into, plane));
        // SAFETY: stream and events are ours and alive, the decode stream is the device's. The rows are within
        // the surface, whose bounds `Frame::surface` has checked and whose frame is held, and within planes of `into` of
        // the same size. Both stay until the wait below has seen the copies end; if the wait fails, the context is
        // dead and none of its work runs.
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
        // A failed call may be the first sign of a lost device.
        match self.device.health() {
            Err(lost) => lost,
            Ok(()) => GpuError::Failed { ordinal: self.ordinal(), cause: describe(error) },
        }
    }
}

impl Drop for Downloader {
    fn drop(&mut self) {
        let functions = self.driver.functions();
        let destroy = || {
            // SAFETY: our own handles, destroyed once, with nothing queued: `copy` waits for each copy.
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
        let destroyed =
            unsafe { self.driver.with_context(self.device.context().cu_ctx(), destroy) };
        if let Err(error) = destroyed
            && self.device.known_health().is_ok()
        {
            tracing::warn!(gpu = self.ordinal(), "{}", describe(&error));
        }
    }
}

/// The parameters of a copy of a plane to the same plane of a frame in memory.
fn plane_copy(from: DevicePlane, into: &mut Frame, plane: usize) -> CUDA_MEMCPY2D {
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
