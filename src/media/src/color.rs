//! Pixel layout and color of a decoded frame.

use std::ffi::{CStr, c_int};

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{
    AV_PIX_FMT_CUDA, AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV420P10LE,
    AV_PIX_FMT_YUVJ411P, AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUVJ440P,
    AV_PIX_FMT_YUVJ444P,
};
use ffmpeg_sys_next::AVPixelFormat::{AV_PIX_FMT_P010LE, AV_PIX_FMT_VAAPI};

/// How a frame's samples are laid out in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelLayout {
    /// 8 bits, three planes Y, U, V, chroma halved in both dimensions. FFmpeg's `yuvj420p` is this
    /// with full range.
    Yuv420p,
    /// 8 bits, a Y plane and a plane of interleaved U and V, chroma halved in both dimensions.
    Nv12,
    /// Like `Yuv420p`, with 10 bits in the low part of little-endian 16-bit words.
    Yuv420p10,
    /// Like `Nv12`, with 10 bits in the high part of little-endian 16-bit words.
    P010,
    /// In a surface of VA-API; see [`Frame::map_from`](crate::Frame::map_from).
    Vaapi,
    /// In an NVIDIA GPU's memory; see [`Frame::surface`](crate::Frame::surface).
    Cuda,
    /// Anything else; convert it with [`Nv12Converter`](crate::Nv12Converter).
    Other,
}

impl PixelLayout {
    pub(crate) fn of(format: c_int) -> Self {
        match pixel_format(format) {
            Some(AV_PIX_FMT_YUV420P | AV_PIX_FMT_YUVJ420P) => Self::Yuv420p,
            Some(AV_PIX_FMT_NV12) => Self::Nv12,
            Some(AV_PIX_FMT_YUV420P10LE) => Self::Yuv420p10,
            Some(AV_PIX_FMT_P010LE) => Self::P010,
            Some(AV_PIX_FMT_VAAPI) => Self::Vaapi,
            Some(AV_PIX_FMT_CUDA) => Self::Cuda,
            _ => Self::Other,
        }
    }
}

/// Which sample values are black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Range {
    /// Not stated; by convention limited.
    Unspecified = 0,
    /// 16 to 235 in 8 bits (MPEG, "tv").
    Limited = 1,
    /// 0 to 255 in 8 bits (JPEG, "pc").
    Full = 2,
}

/// The color of a frame. Matrix, primaries and transfer are the numbers of ITU-T H.273, which
/// FFmpeg's AVCOL constants share; 2 is unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color {
    /// Sample range.
    pub range: Range,
    /// Color primaries (H.273 table 2).
    pub primaries: u8,
    /// Transfer characteristics (H.273 table 3).
    pub transfer: u8,
    /// Matrix coefficients (H.273 table 4).
    pub matrix: u8,
    /// FFmpeg's AVCHROMA_LOC number: 0 if unspecified, otherwise H.273's chroma sample location
    /// type plus one.
    pub chroma_location: u8,
}

impl Color {
    /// # Safety
    /// `frame` points to a valid frame that is not written during the call.
    pub(crate) unsafe fn of(frame: *const ffi::AVFrame) -> Self {
        // SAFETY: valid by contract. The fields are C enums of 32 bits; they are read as numbers
        // because decoders may store any value from a bitstream there (house rule 4).
        let (format, range, primaries, transfer, matrix, chroma) = unsafe {
            (
                (*frame).format,
                (&raw const (*frame).color_range).cast::<u32>().read(),
                (&raw const (*frame).color_primaries).cast::<u32>().read(),
                (&raw const (*frame).color_trc).cast::<u32>().read(),
                (&raw const (*frame).colorspace).cast::<u32>().read(),
                (&raw const (*frame).chroma_location).cast::<u32>().read(),
            )
        };
        let range = match range {
            _ if is_full_range_by_format(format) => Range::Full,
            1 => Range::Limited,
            2 => Range::Full,
            _ => Range::Unspecified,
        };
        let number = |value: u32, unknown: u8| u8::try_from(value).unwrap_or(unknown);
        Self {
            range,
            primaries: number(primaries, 2),
            transfer: number(transfer, 2),
            matrix: number(matrix, 2),
            chroma_location: number(chroma, 0),
        }
    }
}

/// Whether a pixel format implies full range, which is FFmpeg's old way to state it.
fn is_full_range_by_format(format: c_int) -> bool {
    matches!(
        pixel_format(format),
        Some(
            AV_PIX_FMT_YUVJ420P
                | AV_PIX_FMT_YUVJ422P
                | AV_PIX_FMT_YUVJ444P
                | AV_PIX_FMT_YUVJ440P
                | AV_PIX_FMT_YUVJ411P
        )
    )
}

/// The number in `AVFrame.format` as FFmpeg's enum; `None` for AV_PIX_FMT_NONE and invalid numbers.
pub(crate) fn pixel_format(format: c_int) -> Option<ffi::AVPixelFormat> {
    let known = 0..ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int;
    // SAFETY: bindgen generated the enum from this FFmpeg's header, which numbers the formats from 0
    // to AV_PIX_FMT_NB without a gap, in an int; the range was just checked.
    known.contains(&format).then(|| unsafe { std::mem::transmute(format) })
}

/// FFmpeg's descriptor of a pixel format.
pub(crate) fn descriptor(format: c_int) -> Option<&'static ffi::AVPixFmtDescriptor> {
    let format = pixel_format(format)?;
    // SAFETY: looks a number up in a static table; null if it is not there.
    unsafe { ffi::av_pix_fmt_desc_get(format).as_ref() }
}

/// FFmpeg's name for a pixel format, or `none`.
pub(crate) fn format_name(format: c_int) -> &'static str {
    let name = descriptor(format).and_then(|descriptor| {
        // SAFETY: every descriptor has a terminated static name.
        unsafe { CStr::from_ptr(descriptor.name) }.to_str().ok()
    });
    name.unwrap_or("none")
}

/// Bits in a sample of the first component, which is luma in YUV.
pub(crate) fn bit_depth(format: c_int) -> u8 {
    descriptor(format).map_or(0, |d| u8::try_from(d.comp[0].depth).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        assert_eq!(PixelLayout::of(AV_PIX_FMT_YUVJ420P as c_int), PixelLayout::Yuv420p);
        assert_eq!(PixelLayout::of(AV_PIX_FMT_YUV420P10LE as c_int), PixelLayout::Yuv420p10);
        assert_eq!(PixelLayout::of(AV_PIX_FMT_YUVJ422P as c_int), PixelLayout::Other);
        assert_eq!(PixelLayout::of(-1), PixelLayout::Other);
    }

    #[test]
    fn every_format_number_has_a_descriptor() {
        // The transmute in `pixel_format` requires numbers without a gap.
        for format in 0..ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int {
            assert!(descriptor(format).is_some(), "{format}");
        }
        assert!(descriptor(-1).is_none());
        assert!(descriptor(ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int).is_none());
    }

    #[test]
    fn names_and_depths() {
        assert_eq!(format_name(AV_PIX_FMT_YUV420P10LE as c_int), "yuv420p10le");
        assert_eq!(bit_depth(AV_PIX_FMT_YUV420P10LE as c_int), 10);
        assert_eq!(bit_depth(AV_PIX_FMT_NV12 as c_int), 8);
        assert_eq!((format_name(-1), bit_depth(-1)), ("none", 0));
    }
}
