//! Pictures in device memory.

use std::ffi::c_int;

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{AV_PIX_FMT_NV12, AV_PIX_FMT_P010LE};

use crate::color::pixel_format;
use crate::cuda;

/// Pixels that the codec adds around the visible picture, in luma samples.
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

/// Where a decoded picture lies in device memory.
///
/// The numbers are good as long as the [`Frame`](crate::Frame) that gave them holds its picture,
/// and readable in stream order after
/// [`CudaDevice::decode_stream`](crate::CudaDevice::decode_stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surface {
    /// The GPU that has it: [`CudaDevice::ordinal`](crate::CudaDevice::ordinal).
    pub device: usize,
    /// How the samples lie.
    pub format: SurfaceFormat,
    /// The Y plane, from the first visible sample.
    pub luma: DevicePlane,
    /// The plane of U and V in turn, from the first visible pair. Where it lies follows from
    /// nothing else: rows that nobody sees are between the planes.
    pub chroma: DevicePlane,
    /// Visible width and height in pixels.
    pub size: (u32, u32),
    /// Width and height as the codec codes them.
    pub coded_size: (u32, u32),
    /// What was cut from the coded picture; the planes begin behind it already.
    pub crop: Crop,
}

/// A plane in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePlane {
    /// Address (CUdeviceptr) of the first visible sample.
    pub address: u64,
    /// Bytes from one row to the next.
    pub pitch: usize,
    /// Bytes of a row's visible samples.
    pub row_bytes: usize,
    /// Visible rows.
    pub rows: usize,
}

/// The sample formats of surfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurfaceFormat {
    /// 8 bits; Y, then U and V in turn, chroma halved both ways.
    Nv12,
    /// As `Nv12` with 10 bits in the high part of little-endian 16-bit words.
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

    /// Bits of a sample.
    pub fn bit_depth(self) -> u8 {
        match self {
            Self::Nv12 => 8,
            Self::P010 => 10,
        }
    }

    /// Bytes of a sample.
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

/// Whether the device has a picture for this frame: the end of the second buffer is what unmaps it
/// (FFmpeg 5.1, nvdec_retrieve_data in libavcodec/nvdec.c). Without, `data` is no device address.
pub(crate) fn is_mapped(frame: &ffi::AVFrame) -> bool {
    !frame.buf[1].is_null()
}

/// The format of a frame's surface; None when its pixels are in memory.
///
/// # Safety
/// `frame` points to a valid frame that nobody writes during the call.
pub(crate) unsafe fn surface_format(frame: *const ffi::AVFrame) -> Option<SurfaceFormat> {
    // SAFETY: valid by contract; the buffer of `hw_frames_ctx` holds an AVHWFramesContext, which
    // is not written after it was initialised. Its format is read as a number (house rule 4).
    let format = unsafe {
        if pixel_format((*frame).format) != Some(ffi::AVPixelFormat::AV_PIX_FMT_CUDA) {
            return None;
        }
        let pool = (*frame).hw_frames_ctx.as_ref()?.data.cast::<ffi::AVHWFramesContext>();
        (&raw const (*pool).sw_format).cast::<c_int>().read()
    };
    SurfaceFormat::of(format)
}

/// The GPU that a frame's surface is on.
///
/// # Safety
/// As for [`surface_format`], which has found a format.
pub(crate) unsafe fn surface_device(frame: *const ffi::AVFrame) -> Option<usize> {
    // SAFETY: valid by contract; the pool keeps its device, which `CudaDevice` alone makes here and neither
    // FFmpeg nor we write after that.
    unsafe {
        let pool = (*frame).hw_frames_ctx.as_ref()?.data.cast::<ffi::AVHWFramesContext>();
        cuda::ordinal_of((*pool).device_ctx)
    }
}

/// Whether nobody but this frame and NVDEC's decoder has the pool of its surface: FFmpeg's codec, which has
/// it while it is open, is closed, and the decoder goes with the frame.
///
/// # Safety
/// `frame` points to a valid frame that nobody writes during the call.
pub(crate) unsafe fn is_last_of_pool(frame: *const ffi::AVFrame) -> bool {
    // SAFETY: valid by contract; the count is read as an atomic.
    unsafe {
        let pool = (*frame).hw_frames_ctx;
        // Ours, and that of FFmpeg's NVDECDecoder. Where it keeps none this is true too often, not too seldom.
        !pool.is_null() && ffi::av_buffer_get_ref_count(pool) <= 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_of_whole_chroma_pairs() {
        let (nv12, p010) = (SurfaceFormat::Nv12, SurfaceFormat::P010);
        assert_eq!(nv12.offset(0, 512, 6, 4), 4 * 512 + 6);
        assert_eq!(nv12.offset(1, 512, 6, 4), 2 * 512 + 6);
        assert_eq!(nv12.offset(1, 512, 7, 5), 2 * 512 + 6);
        assert_eq!(p010.offset(0, 512, 6, 4), 4 * 512 + 12);
        assert_eq!(p010.offset(1, 512, 6, 4), 2 * 512 + 12);
    }
}
