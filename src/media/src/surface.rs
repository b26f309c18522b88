//! Pictures in device memory.

use std::ffi::c_int;

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{AV_PIX_FMT_NV12, AV_PIX_FMT_P010LE};

use crate::color::{descriptor, pixel_format};
use crate::cuda;

/// Margins of the coded picture around the visible one, in luma samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crop {
    /// Columns left of the picture.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Columns right of it.
    pub right: u32,
    /// Rows below it.
    pub bottom: u32,
}

/// The location of a decoded picture in device memory.
///
/// It is valid as long as its [`Frame`](crate::Frame) holds the picture, and readable in stream
/// order after [`CudaDevice::decode_stream`](crate::CudaDevice::decode_stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surface {
    /// The GPU's number: [`CudaDevice::ordinal`](crate::CudaDevice::ordinal).
    pub device: usize,
    /// The format of the samples.
    pub format: SurfaceFormat,
    /// The Y plane, from the first visible sample.
    pub luma: DevicePlane,
    /// The plane of interleaved U and V, from the first visible pair. Its location can't be derived
    /// from the Y plane, because there are invisible rows between the planes.
    pub chroma: DevicePlane,
    /// Visible width and height in pixels.
    pub size: (u32, u32),
    /// Coded width and height.
    pub coded_size: (u32, u32),
    /// What was cropped from the coded picture. The planes begin at the visible picture.
    pub crop: Crop,
}

/// A plane in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePlane {
    /// Address (CUdeviceptr) of the first visible sample.
    pub address: u64,
    /// Bytes from one row to the next.
    pub pitch: usize,
    /// Bytes of the visible samples in a row.
    pub row_bytes: usize,
    /// Visible rows.
    pub rows: usize,
}

/// The sample formats of surfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurfaceFormat {
    /// 8 bits; Y, then interleaved U and V, chroma halved in both dimensions.
    Nv12,
    /// Like `Nv12`, with 10 bits in the high part of little-endian 16-bit words.
    P010,
}

impl SurfaceFormat {
    pub(crate) fn of(format: c_int) -> Option<Self> {
        match pixel_format(format)? {
            AV_PIX_FMT_NV12 => Some(Self::Nv12),
            AV_PIX_FMT_P010LE => Some(Self::P010),
            _ => None,
        }
    }

    /// Bits in a sample.
    pub fn bit_depth(self) -> u8 {
        match self {
            Self::Nv12 => 8,
            Self::P010 => 10,
        }
    }

    /// Bytes in a sample.
    pub fn sample_bytes(self) -> usize {
        match self {
            Self::Nv12 => 1,
            Self::P010 => 2,
        }
    }

    /// Bytes from a plane's start to the sample pair at this luma column and row.
    pub(crate) fn offset(self, plane: usize, pitch: usize, left: usize, top: usize) -> usize {
        let (columns, rows) = if plane == 0 { (left, top) } else { (left / 2 * 2, top / 2) };
        rows * pitch + columns * self.sample_bytes()
    }
}

/// Whether the device has mapped a picture for this frame: freeing the second buffer unmaps it
/// (FFmpeg 5.1, nvdec_retrieve_data in libavcodec/nvdec.c). Without it, `data` is not a device address.
pub(crate) fn is_mapped(frame: &ffi::AVFrame) -> bool {
    !frame.buf[1].is_null()
}

/// The format of a frame's surface; `None` if its pixels are in host memory.
///
/// # Safety
/// `frame` points to a valid frame that is not written during the call.
pub(crate) unsafe fn surface_format(frame: *const ffi::AVFrame) -> Option<SurfaceFormat> {
    // SAFETY: valid by contract.
    unsafe {
        if pixel_format((*frame).format) != Some(ffi::AVPixelFormat::AV_PIX_FMT_CUDA) {
            return None;
        }
        SurfaceFormat::of(software_format(frame)?)
    }
}

/// The format of the samples of a frame in device memory, as FFmpeg's number; `None` for other frames.
///
/// # Safety
/// As for [`surface_format`].
pub(crate) unsafe fn software_format(frame: *const ffi::AVFrame) -> Option<c_int> {
    // SAFETY: valid by contract; the buffer of `hw_frames_ctx` holds an AVHWFramesContext, which
    // is not written after initialization. Its format is read as a number (house rule 4).
    unsafe {
        let flags = descriptor((*frame).format)?.flags;
        if flags & ffi::AV_PIX_FMT_FLAG_HWACCEL as u64 == 0 {
            return None;
        }
        let pool = (*frame).hw_frames_ctx.as_ref()?.data.cast::<ffi::AVHWFramesContext>();
        Some((&raw const (*pool).sw_format).cast::<c_int>().read())
    }
}

/// The number of the GPU that a frame's surface is on.
///
/// # Safety
/// As for [`surface_format`], which must have returned a format.
pub(crate) unsafe fn surface_device(frame: *const ffi::AVFrame) -> Option<usize> {
    // SAFETY: valid by contract; the pool keeps its device alive. Only `CudaDevice` creates devices, and they are not
    // written after that.
    unsafe {
        let pool = (*frame).hw_frames_ctx.as_ref()?.data.cast::<ffi::AVHWFramesContext>();
        cuda::ordinal_of((*pool).device_ctx)
    }
}

/// Whether only this frame and NVDEC's decoder refer to the pool of its surface. FFmpeg's codec, which holds a reference
/// while it is open, is then closed, and releasing the frame destroys the decoder.
///
/// # Safety
/// `frame` points to a valid frame that is not written during the call.
pub(crate) unsafe fn is_last_of_pool(frame: *const ffi::AVFrame) -> bool {
    // SAFETY: valid by contract; the count is read as an atomic.
    unsafe {
        let pool = (*frame).hw_frames_ctx;
        // Our reference and that of FFmpeg's NVDECDecoder. If the latter keeps none, this is true too often rather
        // than too rarely.
        !pool.is_null() && ffi::av_buffer_get_ref_count(pool) <= 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_multiples_of_chroma_pairs() {
        let (nv12, p010) = (SurfaceFormat::Nv12, SurfaceFormat::P010);
        assert_eq!(nv12.offset(0, 512, 6, 4), 4 * 512 + 6);
        assert_eq!(nv12.offset(1, 512, 6, 4), 2 * 512 + 6);
        assert_eq!(nv12.offset(1, 512, 7, 5), 2 * 512 + 6);
        assert_eq!(p010.offset(0, 512, 6, 4), 4 * 512 + 12);
        assert_eq!(p010.offset(1, 512, 6, 4), 2 * 512 + 12);
    }
}
