//! Converts software formats to NV12 with FFmpeg's scaler.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::{
    AV_PIX_FMT_GRAY8, AV_PIX_FMT_NV12, AV_PIX_FMT_XYZ12BE, AV_PIX_FMT_XYZ12LE, AV_PIX_FMT_YUV420P,
    AV_PIX_FMT_YUV420P10LE,
};

use crate::av::{AvError, check, to_c_int};
use crate::color::{Color, Range, descriptor, format_name, pixel_format};
use crate::compat::SWS_BICUBIC;
pub use crate::error::ConvertError;
use crate::frame::Frame;

/// Converts frames to NV12 from formats that have no fast path. Keeps FFmpeg's scaler between frames.
///
/// The range is preserved: full range stays full range. The samples equal those of
/// `ffmpeg -vf scale=in_range=R:out_range=R,format=nv12` byte for byte, where R is the frame's range
/// (limited if unspecified). RGB becomes limited range with the frame's matrix, or with BT.601 if
/// the frame states none; [`output_color`](Self::output_color) returns the resulting color. Formats of
/// more than 8 bits are first converted to 10 bits 4:2:0, and then each sample `x` to
/// `min(255, (x + 2) >> 2)`. Alpha is ignored. Gray gets neutral chroma, 128. Sensor mosaics (Bayer) and
/// XYZ are refused.
///
/// Every output byte depends only on the frame's samples, never on the memory around them. FFmpeg 5.1
/// violates this in three cases, which are handled here instead: for full-range 8-bit gray and for NV12 itself
/// it does not write the chroma plane, and for RGB of an odd width it averages the last column with the
/// bytes after it. For the latter the last column is duplicated, unless the codec coded another column
/// there. (FFmpeg 9 computes such chroma from all columns and does not need this.)
///
/// The scaler writes whole vectors past the end of a row, so it writes to a buffer of its own that
/// is then copied. This path is for rare formats and is not fast.
#[derive(Default)]
pub struct Nv12Converter {
    scaler: Option<Scaler>,
}

impl Nv12Converter {
    /// A converter without a scaler; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `frame` as NV12. The rows of both planes are `stride` bytes apart.
    ///
    /// With width `w` and height `h`, `y` has `h` rows of `w` bytes and `uv` has `ceil(h / 2)` rows
    /// of `2 * ceil(w / 2)` bytes. Bytes between rows are not touched.
    ///
    /// # Errors
    /// [`ConvertError`]; `y` and `uv` are then unchanged.
    pub fn convert(
        &mut self,
        frame: &Frame,
        y: &mut [u8],
        uv: &mut [u8],
        stride: usize,
    ) -> Result<(), ConvertError> {
        if frame.is_empty() {
            return Err(ConvertError::Empty);
        }
        let shape = Shape::of(frame);
        shape.check(y.len(), uv.len(), stride)?;
        if is_grey_or_nv12(frame.format()) {
            return copy(frame, &shape, y, uv, stride);
        }
        let key = Key::of(frame)?;
        if self.scaler.as_ref().is_none_or(|scaler| scaler.key != key) {
            self.scaler = None;
            self.scaler = Some(Scaler::new(key).map_err(|cause| key.failed(cause))?);
        }
        let Some(scaler) = &mut self.scaler else { return Err(ConvertError::Empty) };
        let scaled = scaler.scale(frame)?;
        if key.is_deep {
            write_10_bit(scaled, &shape, y, uv, stride);
        } else {
            copy_rows(scaled, 0, shape.width, y, stride);
            copy_rows(scaled, 1, shape.uv_row, uv, stride);
        }
        Ok(())
    }

    /// The color of [`convert`](Self::convert)'s output for `frame`.
    pub fn output_color(frame: &Frame) -> Color {
        let color = frame.color();
        if is_rgb(frame.format()) {
            let matrix = yuv_matrix(color.matrix).unwrap_or(BT601);
            Color { range: Range::Limited, matrix, chroma_location: 0, ..color }
        } else {
            color
        }
    }
}

/// The chroma of gray, in either range.
const NEUTRAL: u8 = 128;

/// H.273's number of the matrix that FFmpeg's scaler uses by default (SMPTE 170M).
const BT601: u8 = 6;

/// The matrix, if it converts to YUV and the scaler supports it.
fn yuv_matrix(matrix: u8) -> Option<u8> {
    matches!(matrix, 1 | 4 | 5 | 6 | 7 | 9 | 10).then_some(matrix)
}

fn is_rgb(format: c_int) -> bool {
    // Palettes are RGB without the flag (as in libswscale's isAnyRGB).
    let rgb_like = (ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL) as u64;
    descriptor(format).is_some_and(|descriptor| descriptor.flags & rgb_like != 0)
}

fn is_grey_or_nv12(format: c_int) -> bool {
    matches!(pixel_format(format), Some(AV_PIX_FMT_GRAY8 | AV_PIX_FMT_NV12))
}

/// Whether the format is one for which FFmpeg reads past a picture with odd sides, or reads memory that it
/// has not written. No camera sends these.
fn is_mosaic_or_xyz(format: c_int) -> bool {
    let mosaic = u64::from(ffi::AV_PIX_FMT_FLAG_BAYER.unsigned_abs());
    let xyz = matches!(pixel_format(format), Some(AV_PIX_FMT_XYZ12LE | AV_PIX_FMT_XYZ12BE));
    xyz || descriptor(format).is_some_and(|descriptor| descriptor.flags & mosaic != 0)
}

/// The dimensions of an NV12 picture.
struct Shape {
    width: usize,
    height: usize,
    uv_row: usize,
    uv_rows: usize,
}

impl Shape {
    fn of(frame: &Frame) -> Self {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        Self { width, height, uv_row: 2 * width.div_ceil(2), uv_rows: height.div_ceil(2) }
    }

    fn check(&self, y: usize, uv: usize, stride: usize) -> Result<(), ConvertError> {
        let need = |what, got: usize, need: usize| {
            if got >= need {
                return Ok(());
            }
            let (width, height) = (self.width as u32, self.height as u32);
            Err(ConvertError::TooSmall { what, width, height, got, need })
        };
        need("stride", stride, self.uv_row)?;
        need("Y plane", y, stride * (self.height - 1) + self.width)?;
        need("UV plane", uv, stride * (self.uv_rows - 1) + self.uv_row)
    }
}

/// The kind of frame that a scaler is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    format: c_int,
    width: u32,
    height: u32,
    is_full: bool,
    matrix: u8,
    /// More than 8 bits.
    is_deep: bool,
}

impl Key {
    fn of(frame: &Frame) -> Result<Self, ConvertError> {
        let format = frame.format();
        let refused = || ConvertError::Unsupported { format: format_name(format) };
        let known = pixel_format(format).ok_or_else(refused)?;
        // SAFETY: looks a format up in a static table.
        if is_mosaic_or_xyz(format) || unsafe { ffi::sws_isSupportedInput(known) } == 0 {
            return Err(refused());
        }
        let color = Nv12Converter::output_color(frame);
        Ok(Self {
            format,
            width: frame.width(),
            height: frame.height(),
            is_full: color.range == Range::Full,
            matrix: yuv_matrix(color.matrix).unwrap_or(BT601),
            is_deep: frame.bit_depth() > 8,
        })
    }

    fn failed(&self, cause: AvError) -> ConvertError {
        ConvertError::Scaler { format: format_name(self.format), cause }
    }
}

/// FFmpeg's scaler for one kind of frame, with its buffers.
struct Scaler {
    context: NonNull<ffi::SwsContext>,
    key: Key,
    /// Where the picture is copied first if the scaler reads past the end of rows.
    widened: Option<Widened>,
    output: Frame,
}

// SAFETY: a scaler may be used from any thread, one at a time; this is its only handle.
unsafe impl Send for Scaler {}

impl Scaler {
    fn new(key: Key) -> Result<Self, AvError> {
        let format = if key.is_deep { AV_PIX_FMT_YUV420P10LE } else { AV_PIX_FMT_NV12 };
        let output = Frame::with_buffer(format, key.width, key.height)?;
        // SAFETY: no arguments; null means out of memory.
        let context = NonNull::new(unsafe { ffi::sws_alloc_context() });
        let context = context.ok_or(AvError::new(-libc::ENOMEM))?;
        let widened = Widened::needed_for(key)?;
        let scaler = Self { context, key, widened, output };
        scaler.configure(format as c_int)?;
        Ok(scaler)
    }

    /// Sets the same options as the `scale` filter of FFmpeg 5.1 (libavfilter/vf_scale.c).
    fn configure(&self, output_format: c_int) -> Result<(), AvError> {
        let key = &self.key;
        let raw = self.context.as_ptr();
        let range = i64::from(key.is_full);
        let mut options = vec![
            (c"srcw", i64::from(key.width)),
            (c"srch", i64::from(key.height)),
            (c"src_format", i64::from(key.format)),
            (c"src_range", range),
            (c"dstw", i64::from(key.width)),
            (c"dsth", i64::from(key.height)),
            (c"dst_format", i64::from(output_format)),
            (c"dst_range", range),
            (c"sws_flags", i64::from(SWS_BICUBIC)),
        ];
        if key.format == AV_PIX_FMT_YUV420P as c_int {
            // The filter places chroma halfway between rows only for this format.
            options.push((c"src_v_chr_pos", 128));
        }
        for (name, value) in options {
            // SAFETY: our own new context, which begins with an AVClass; the name is terminated.
            check(unsafe { ffi::av_opt_set_int(raw.cast(), name.as_ptr(), value, 0) })?;
        }
        // SAFETY: all options are set; null filters mean none. The tables that sws_getCoefficients
        // returns are static. The last three numbers are 16.16 fixed point: brightness 0, contrast
        // 1, saturation 1.
        unsafe {
            check(ffi::sws_init_context(raw, ptr::null_mut(), ptr::null_mut()))?;
            let table = ffi::sws_getCoefficients(c_int::from(key.matrix));
            let range = c_int::from(key.is_full);
            // Returns -1 if there is nothing to set, which is not a failure.
            ffi::sws_setColorspaceDetails(raw, table, range, table, range, 0, 1 << 16, 1 << 16);
        }
        Ok(())
    }

    fn scale(&mut self, frame: &Frame) -> Result<&Frame, ConvertError> {
        let source = match &mut self.widened {
            // If the codec coded another column, the scaler reads that one, as it does in FFmpeg.
            Some(widened) if frame.crop().right == 0 => widened.fill(frame)?.as_ptr(),
            _ => frame.as_ptr(),
        };
        let target = self.output.as_mut_ptr();
        // SAFETY: `source` has the format and at least the size that the context was made for, so the scaler
        // reads within its planes, in FFmpeg's padded buffers; the output is ours and has the format and size of
        // the context, with FFmpeg's padding for vectors that end past a row.
        let rows = check(unsafe {
            ffi::sws_scale(
                self.context.as_ptr(),
                (&raw const (*source).data).cast(),
                (&raw const (*source).linesize).cast(),
                0,
                to_c_int(self.key.height as usize),
                (&raw const (*target).data).cast(),
                (&raw const (*target).linesize).cast(),
            )
        })
        .map_err(|cause| self.key.failed(cause))?;
        if rows != to_c_int(self.key.height as usize) {
            return Err(self.key.failed(AvError::new(ffi::AVERROR_BUG)));
        }
        Ok(&self.output)
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { ffi::sws_freeContext(self.context.as_ptr()) };
    }
}

/// A copy of a picture of odd width, with its last column duplicated.
struct Widened {
    picture: Frame,
    /// Bytes from one pixel to the next, in each plane.
    steps: [usize; 4],
}

impl Widened {
    /// Needed for RGB of odd width, where the scaler averages two columns for chroma. It does not do so for palettes
    /// and for pixels that are not whole bytes.
    fn needed_for(key: Key) -> Result<Option<Self>, AvError> {
        let Some((format, descriptor)) = pixel_format(key.format).zip(descriptor(key.format))
        else {
            return Ok(None);
        };
        let other = (ffi::AV_PIX_FMT_FLAG_PAL | ffi::AV_PIX_FMT_FLAG_BITSTREAM) as u64;
        if key.width.is_multiple_of(2) || !is_rgb(key.format) || descriptor.flags & other != 0 {
            return Ok(None);
        }
        let mut steps = [0; 4];
        let components = &descriptor.comp[..usize::from(descriptor.nb_components).min(4)];
        for component in components {
            let (plane, step) = (component.plane as usize, component.step as usize);
            steps[plane] = steps[plane].max(step);
        }
        let picture = Frame::with_buffer(format, key.width + 1, key.height)?;
        Ok(Some(Self { picture, steps }))
    }

    /// Copies the picture of a frame, which has the format and height that this was made for.
    fn fill(&mut self, frame: &Frame) -> Result<&Frame, ConvertError> {
        for plane in (0..4).filter(|&plane| self.steps[plane] > 0) {
            let (step, row_bytes) = (self.steps[plane], self.steps[plane] * frame.width() as usize);
            let (stride, from_stride) = (self.picture.stride(plane), frame.stride(plane));
            let from = rows(frame, plane, row_bytes)?;
            let to = self.picture.plane_mut(plane).chunks_mut(stride.max(1));
            for (from, to) in from.chunks(from_stride).zip(to) {
                to[..row_bytes].copy_from_slice(&from[..row_bytes]);
                to[row_bytes..row_bytes + step].copy_from_slice(&from[row_bytes - step..row_bytes]);
            }
        }
        Ok(&self.picture)
    }
}

/// A plane, checked to have rows of at least `row_bytes`.
fn rows(frame: &Frame, plane: usize, row_bytes: usize) -> Result<&[u8], ConvertError> {
    let samples = frame.plane(plane);
    if samples.len() < row_bytes || row_bytes == 0 {
        let format = format_name(frame.format());
        return Err(ConvertError::NotInMemory { format, plane });
    }
    Ok(samples)
}

/// Writes gray or NV12 as NV12.
fn copy(
    frame: &Frame,
    shape: &Shape,
    y: &mut [u8],
    uv: &mut [u8],
    stride: usize,
) -> Result<(), ConvertError> {
    rows(frame, 0, shape.width)?;
    if pixel_format(frame.format()) == Some(AV_PIX_FMT_GRAY8) {
        for row in uv.chunks_mut(stride).take(shape.uv_rows) {
            row[..shape.uv_row].fill(NEUTRAL);
        }
    } else {
        rows(frame, 1, shape.uv_row)?;
        copy_rows(frame, 1, shape.uv_row, uv, stride);
    }
    copy_rows(frame, 0, shape.width, y, stride);
    Ok(())
}

fn copy_rows(from: &Frame, plane: usize, row_bytes: usize, to: &mut [u8], stride: usize) {
    let rows = from.plane(plane).chunks(from.stride(plane));
    for (row, out) in rows.zip(to.chunks_mut(stride)) {
        out[..row_bytes].copy_from_slice(&row[..row_bytes]);
    }
}

/// Writes 10-bit 4:2:0 as NV12.
fn write_10_bit(from: &Frame, shape: &Shape, y: &mut [u8], uv: &mut [u8], stride: usize) {
    let luma = from.plane(0).chunks(from.stride(0));
    for (row, out) in luma.zip(y.chunks_mut(stride)) {
        for (sample, out) in row.chunks_exact(2).zip(&mut out[..shape.width]) {
            *out = to_8_bit(sample);
        }
    }
    let u = from.plane(1).chunks(from.stride(1));
    let v = from.plane(2).chunks(from.stride(2));
    for ((u, v), out) in u.zip(v).zip(uv.chunks_mut(stride)) {
        let samples = u.chunks_exact(2).zip(v.chunks_exact(2));
        for ((u, v), out) in samples.zip(out[..shape.uv_row].chunks_exact_mut(2)) {
            out[0] = to_8_bit(u);
            out[1] = to_8_bit(v);
        }
    }
}

/// Converts 10 bits to 8, by the same rule on every path.
fn to_8_bit(sample: &[u8]) -> u8 {
    let value = u16::from_le_bytes([sample[0], sample[1]]);
    u8::try_from(value.saturating_add(2) >> 2).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod every_format;

#[cfg(test)]
mod tests {
    use ffi::AVPixelFormat::{AV_PIX_FMT_CUDA, AV_PIX_FMT_YUV422P};

    use super::*;

    #[test]
    fn ten_bits_are_rounded_and_clipped() {
        for (value, expected) in [(0u16, 0u8), (1, 0), (2, 1), (5, 1), (6, 2), (1020, 255)] {
            assert_eq!(to_8_bit(&value.to_le_bytes()), expected, "{value}");
        }
        assert_eq!(to_8_bit(&1023u16.to_le_bytes()), 255);
        assert_eq!(to_8_bit(&u16::MAX.to_le_bytes()), 255);
    }

    #[test]
    fn outputs_must_be_large_enough() {
        let frame = Frame::with_buffer(AV_PIX_FMT_YUV422P, 853, 481).unwrap();
        let mut converter = Nv12Converter::new();
        let (y, uv) = (854 * 480 + 853, 854 * 241);
        for (y, uv, stride, what) in
            [(y, uv, 853, "stride"), (y - 1, uv, 854, "Y plane"), (y, uv - 1, 854, "UV plane")]
        {
            let error =
                converter.convert(&frame, &mut vec![0; y], &mut vec![0; uv], stride).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        converter.convert(&frame, &mut vec![0; y], &mut vec![0; uv], 854).unwrap();
    }

    #[test]
    fn empty_frames_and_gpu_surfaces_are_refused() {
        let mut converter = Nv12Converter::new();
        let error = converter.convert(&Frame::new(), &mut [], &mut [], 0).unwrap_err();
        assert!(matches!(error, ConvertError::Empty));
        let mut frame = Frame::with_buffer(AV_PIX_FMT_NV12, 16, 16).unwrap();
        // SAFETY: our own frame; only the number of its format is changed.
        unsafe { (*frame.as_mut_ptr()).format = AV_PIX_FMT_CUDA as c_int };
        let error = converter.convert(&frame, &mut [0; 256], &mut [0; 128], 16).unwrap_err();
        assert!(matches!(error, ConvertError::Unsupported { format: "cuda" }), "{error}");
    }
}
