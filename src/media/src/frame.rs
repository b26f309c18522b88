//! A decoded frame.

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::c_int;
use std::fmt;
use std::ptr::NonNull;

use ffmpeg_sys_next as ffi;

use crate::av::{AvError, check, to_c_int};
use crate::color::{Color, PixelLayout, bit_depth, descriptor, format_name, pixel_format};
use crate::compat::{TagCarrier, is_interlaced, is_key};
use crate::surface::{
    Crop, DevicePlane, Surface, is_last_of_pool, is_mapped, software_format, surface_device,
    surface_format,
};
use vas_request::Fraction;

/// A reference to a decoded picture, with information from its packet.
///
/// A `Frame` is meant to be reused: [`Decoder::receive`](crate::Decoder::receive) refills it, and
/// [`take_from`](Self::take_from) moves a picture without allocating. Dropping or
/// [`clear`](Self::clear)ing it returns the memory to the decoder's pool. For a picture in device
/// memory this makes driver calls, and all work that uses the picture must have ended.
pub struct Frame {
    raw: NonNull<ffi::AVFrame>,
    tags: Tags,
}

/// What a frame stores in addition to FFmpeg's fields.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tags {
    pub(crate) arrival_ns: u64,
    pub(crate) discontinuity: bool,
    pub(crate) after_loss: bool,
    pub(crate) wall_clock_ns: Option<i64>,
    pub(crate) time_base: Option<Fraction>,
    pub(crate) coded: (u32, u32),
    pub(crate) crop: Crop,
    /// The number of the render node that decoded the picture, if one did.
    pub(crate) render_node: Option<u32>,
    /// The planes are a driver's mapping, for which FFmpeg states no bounds.
    pub(crate) mapped: bool,
}

// SAFETY: a frame's buffers are reference-counted with atomics and tied to no thread; `Frame` is
// their only handle here and is not `Sync`.
unsafe impl Send for Frame {}

impl Frame {
    /// An empty frame: no picture, width and height 0.
    pub fn new() -> Self {
        // SAFETY: no arguments; null means out of memory.
        let Some(raw) = NonNull::new(unsafe { ffi::av_frame_alloc() }) else {
            handle_alloc_error(Layout::new::<ffi::AVFrame>());
        };
        Self { raw, tags: Tags::default() }
    }

    /// A frame with memory of its own, with rows padded for FFmpeg's scaler.
    pub(crate) fn with_buffer(
        format: ffi::AVPixelFormat,
        width: u32,
        height: u32,
    ) -> Result<Self, AvError> {
        let mut frame = Self::new();
        let raw = frame.as_mut_ptr();
        // SAFETY: the frame is ours and blank; FFmpeg checks the numbers and allocates.
        check(unsafe {
            (*raw).format = format as c_int;
            (*raw).width = to_c_int(width as usize);
            (*raw).height = to_c_int(height as usize);
            ffi::av_frame_get_buffer(raw, 0)
        })?;
        Ok(frame)
    }

    /// Moves the picture out of `other`, which becomes empty. Allocates nothing.
    pub fn take_from(&mut self, other: &mut Frame) {
        self.clear();
        // SAFETY: two different valid frames (both are borrowed mutably); `self` was just emptied,
        // as av_frame_move_ref requires.
        unsafe { ffi::av_frame_move_ref(self.as_mut_ptr(), other.as_mut_ptr()) };
        self.tags = std::mem::take(&mut other.tags);
    }

    /// Makes `self` refer to the picture of `other`, without copying samples.
    ///
    /// # Errors
    /// Out of memory; `self` is then empty.
    pub fn ref_from(&mut self, other: &Frame) -> Result<(), AvError> {
        self.clear();
        if other.is_empty() {
            return Ok(());
        }
        // SAFETY: two different valid frames; `self` was just emptied, as av_frame_ref requires.
        check(unsafe { ffi::av_frame_ref(self.as_mut_ptr(), other.as_ptr()) })?;
        self.tags = other.tags;
        Ok(())
    }

    /// Releases the picture.
    pub fn clear(&mut self) {
        // SAFETY: our own valid frame; unreferencing an empty one does nothing.
        unsafe { ffi::av_frame_unref(self.as_mut_ptr()) };
        self.tags = Tags::default();
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.get().buf[0].is_null()
    }

    /// Visible width in pixels.
    pub fn width(&self) -> u32 {
        u32::try_from(self.get().width).unwrap_or(0)
    }

    /// Visible height in pixels.
    pub fn height(&self) -> u32 {
        u32::try_from(self.get().height).unwrap_or(0)
    }

    /// Coded width and height in pixels; at least the visible size.
    pub fn coded_size(&self) -> (u32, u32) {
        let (width, height) = self.tags.coded;
        (width.max(self.width()), height.max(self.height()))
    }

    /// What was cropped from the coded picture. The planes begin at the visible picture.
    pub fn crop(&self) -> Crop {
        self.tags.crop
    }

    /// How the samples are laid out in memory.
    pub fn layout(&self) -> PixelLayout {
        PixelLayout::of(self.format())
    }

    /// Bits in a luma sample.
    pub fn bit_depth(&self) -> u8 {
        // SAFETY: our own valid frame, borrowed for the call.
        let surface = unsafe { software_format(self.as_ptr()) };
        bit_depth(surface.unwrap_or_else(|| self.format()))
    }

    /// FFmpeg's name for the pixel format, such as `yuv420p`; `none` if empty.
    pub fn format_name(&self) -> &'static str {
        format_name(self.format())
    }

    /// Range, matrix, primaries, transfer and chroma location.
    pub fn color(&self) -> Color {
        // SAFETY: our own valid frame, borrowed for the call.
        unsafe { Color::of(self.as_ptr()) }
    }

    /// The samples of a plane, from the first visible one to the last.
    ///
    /// Row `r` begins at `r * stride(plane)`; the last row ends with its last visible sample, so
    /// the slice has `stride * (rows - 1) + bytes of a row` bytes. It is empty if the frame has no such
    /// plane, if the picture is a hardware surface, or if rows are stored bottom up.
    pub fn plane(&self, plane: usize) -> &[u8] {
        let Some(PlaneSize { row_bytes, rows }) = self.plane_size(plane) else { return &[] };
        let frame = self.get();
        let Ok(stride) = usize::try_from(frame.linesize[plane]) else { return &[] };
        if stride < row_bytes {
            return &[];
        }
        let length = stride * (rows - 1) + row_bytes;
        let data = frame.data[plane];
        if self.tags.mapped {
            // SAFETY: `map_from` mapped the whole surface for reading until the frame is cleared. Size and pitch are
            // those of the driver's image, which FFmpeg's own copy of a mapped picture trusts likewise.
            return unsafe { std::slice::from_raw_parts(data, length) };
        }
        // The call takes a mutable frame but only searches for the buffer that contains the pointer.
        // SAFETY: a valid frame; the result is null or a buffer that lives as long as the frame.
        let buffer =
            unsafe { ffi::av_frame_get_plane_buffer(self.raw.as_ptr(), to_c_int(plane)).as_ref() };
        let Some(buffer) = buffer else { return &[] };
        // If the decoder's arithmetic and ours disagree, expose nothing.
        if data.addr() + length > buffer.data.addr() + buffer.size {
            return &[];
        }
        // SAFETY: `data` is not null and points into `buffer` (av_frame_get_plane_buffer found it
        // there), `length` bytes from it end within the buffer, which this frame keeps alive and
        // which no decoder writes after it has output the frame.
        unsafe { std::slice::from_raw_parts(data, length) }
    }

    /// The picture in device memory, if it is there.
    pub fn surface(&self) -> Option<Surface> {
        // SAFETY: our own valid frame, borrowed for the call.
        let format = unsafe { surface_format(self.as_ptr()) }?;
        if !is_mapped(self.get()) {
            return None;
        }
        let (width, height) = (self.width() as usize, self.height() as usize);
        let samples = [(width, height), (width.div_ceil(2) * 2, height.div_ceil(2))];
        let plane = |index: usize| {
            let address = self.get().data[index].addr() as u64;
            let pitch = usize::try_from(self.get().linesize[index]).ok()?;
            let (columns, rows) = samples[index];
            let row_bytes = columns * format.sample_bytes();
            let fits = address != 0 && rows > 0 && row_bytes > 0 && row_bytes <= pitch;
            fits.then_some(DevicePlane { address, pitch, row_bytes, rows })
        };
        Some(Surface {
            // SAFETY: as above.
            device: unsafe { surface_device(self.as_ptr()) }?,
            format,
            luma: plane(0)?,
            chroma: plane(1)?,
            size: (self.width(), self.height()),
            coded_size: self.coded_size(),
            crop: self.crop(),
        })
    }

    /// The number of the render node whose memory the picture is in (128 for `renderD128`), if VA-API decoded it. Such a
    /// picture is read through [`map_from`](Self::map_from).
    pub fn render_node(&self) -> Option<u32> {
        self.tags.render_node.filter(|_| self.layout() == PixelLayout::Vaapi)
    }

    /// Whether releasing this picture destroys the GPU decoder that made it, because the decoder is closed and all its
    /// other pictures are released. For threads that must not block; it misses a decoder that closes right after the
    /// call.
    pub fn is_last_of_decoder(&self) -> bool {
        // SAFETY: our own valid frame, borrowed for the call.
        unsafe { is_last_of_pool(self.as_ptr()) }
    }

    /// Bytes from one row of a plane to the next; 0 if the frame has no such plane in memory.
    pub fn stride(&self, plane: usize) -> usize {
        if self.plane_size(plane).is_none() {
            return 0;
        }
        usize::try_from(self.get().linesize[plane]).unwrap_or(0)
    }

    /// The presentation time in nanoseconds on the source's time line: the PTS, or FFmpeg's best
    /// effort if the stream has none.
    pub fn pts_ns(&self) -> Option<i64> {
        let frame = self.get();
        let ticks = match frame.best_effort_timestamp {
            ffi::AV_NOPTS_VALUE => frame.pts,
            best => best,
        };
        if ticks == ffi::AV_NOPTS_VALUE { None } else { self.tags.time_base?.ticks_to_ns(ticks) }
    }

    /// The arrival of the frame's packet, in nanoseconds of CLOCK_MONOTONIC; see
    /// [`Packet::arrival_ns`](crate::Packet::arrival_ns).
    pub fn arrival_ns(&self) -> u64 {
        self.tags.arrival_ns
    }

    /// Whether this is the first frame since a packet was marked as a discontinuity.
    pub fn discontinuity(&self) -> bool {
        self.tags.discontinuity
    }

    /// Whether the picture may be wrong because of an earlier loss: true from a loss, a gap or a
    /// decoder failure on, until a complete key frame. If the source
    /// [detects loss](crate::StreamInfo::knows_loss), a frame without this mark is correct.
    pub fn after_loss(&self) -> bool {
        self.tags.after_loss
    }

    /// The capture time by the camera's clock; see
    /// [`Packet::wall_clock_ns`](crate::Packet::wall_clock_ns).
    pub fn wall_clock_ns(&self) -> Option<i64> {
        self.tags.wall_clock_ns
    }

    /// Whether the decoder marks this as a key frame.
    pub fn is_key(&self) -> bool {
        is_key(self.get())
    }

    /// Whether the decoder has detected damage in the picture. It does not detect all damage.
    pub fn is_corrupt(&self) -> bool {
        let frame = self.get();
        frame.flags & ffi::AV_FRAME_FLAG_CORRUPT != 0 || frame.decode_error_flags != 0
    }

    /// Whether the picture consists of two fields.
    pub fn interlaced(&self) -> bool {
        is_interlaced(self.get())
    }

    /// The tag of the frame's packet.
    pub(crate) fn tag(&self) -> i64 {
        TagCarrier::tag(self.get())
    }

    pub(crate) fn format(&self) -> c_int {
        self.get().format
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::AVFrame {
        self.raw.as_ptr()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut ffi::AVFrame {
        self.raw.as_ptr()
    }

    pub(crate) fn set_tags(&mut self, tags: Tags) {
        self.tags = tags;
    }

    pub(crate) fn set_mapped(&mut self) {
        self.tags.mapped = true;
    }

    /// Copies the tags of `other`.
    pub(crate) fn inherit_tags(&mut self, other: &Frame) {
        self.tags = other.tags;
    }

    /// Marks the samples as limited range.
    pub(crate) fn set_limited_range(&mut self) {
        // SAFETY: our own valid frame; a value of the enum.
        unsafe { (*self.as_mut_ptr()).color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG };
    }

    /// Like [`plane`](Self::plane), but writable. Also empty if the memory has other references.
    pub(crate) fn plane_mut(&mut self, plane: usize) -> &mut [u8] {
        let length = self.plane(plane).len();
        // SAFETY: our own valid frame.
        let is_writable = unsafe { ffi::av_frame_is_writable(self.as_mut_ptr()) } != 0;
        if length == 0 || self.tags.mapped || !is_writable {
            return &mut [];
        }
        // SAFETY: the bytes that `plane` has found in a buffer of this frame, which has no other
        // reference; borrowed as mutably as the frame.
        unsafe { std::slice::from_raw_parts_mut(self.get().data[plane], length) }
    }

    /// Bytes of the visible samples in a row of a plane.
    #[cfg(test)]
    pub(crate) fn plane_row_bytes(&self, plane: usize) -> usize {
        self.plane_size(plane).map_or(0, |size| size.row_bytes)
    }

    fn plane_size(&self, plane: usize) -> Option<PlaneSize> {
        let frame = self.get();
        if plane >= frame.data.len() || frame.data[plane].is_null() {
            return None;
        }
        let descriptor = descriptor(frame.format)?;
        if descriptor.flags & ffi::AV_PIX_FMT_FLAG_HWACCEL as u64 != 0 {
            return None;
        }
        let format = pixel_format(frame.format)?;
        // SAFETY: both only compute from numbers and static tables.
        let (planes, row_bytes) = unsafe {
            (
                ffi::av_pix_fmt_count_planes(format),
                ffi::av_image_get_linesize(format, frame.width, to_c_int(plane)),
            )
        };
        if to_c_int(plane) >= planes {
            return None;
        }
        let is_chroma = plane == 1 || plane == 2;
        let shift = if is_chroma { u32::from(descriptor.log2_chroma_h) } else { 0 };
        let rows = usize::try_from(frame.height).ok()?.div_ceil(1 << shift);
        let row_bytes = usize::try_from(row_bytes).ok()?;
        (rows > 0 && row_bytes > 0).then_some(PlaneSize { row_bytes, rows })
    }

    fn get(&self) -> &ffi::AVFrame {
        // SAFETY: owned, valid until drop, not written while `self` is borrowed. The enum fields
        // of the frame are read only through `Color::of` (house rule 4); `pict_type` is never read.
        unsafe { self.raw.as_ref() }
    }
}

struct PlaneSize {
    row_bytes: usize,
    rows: usize,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut pointer = self.raw.as_ptr();
        // SAFETY: ours, freed once; drops this handle's reference to the picture.
        unsafe { ffi::av_frame_free(&mut pointer) };
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("format", &self.format_name())
            .field("width", &self.width())
            .field("height", &self.height())
            .field("pts_ns", &self.pts_ns())
            .field("arrival_ns", &self.arrival_ns())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use ffi::AVPixelFormat::{AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV422P10LE};

    use super::*;

    #[test]
    fn an_empty_frame_has_no_picture() {
        let frame = Frame::new();
        assert!(frame.is_empty());
        assert_eq!((frame.width(), frame.height(), frame.format_name()), (0, 0, "none"));
        assert_eq!((frame.plane(0), frame.stride(0)), (&[][..], 0));
        assert!(frame.plane(99).is_empty());
        assert_eq!(frame.pts_ns(), None);
    }

    #[test]
    fn planes_end_with_the_last_visible_sample() {
        for (format, rows) in [
            (AV_PIX_FMT_YUV420P, vec![(853, 481), (427, 241), (427, 241)]),
            (AV_PIX_FMT_NV12, vec![(853, 481), (854, 241)]),
            (AV_PIX_FMT_YUV422P10LE, vec![(1706, 481), (854, 481), (854, 481)]),
        ] {
            let frame = Frame::with_buffer(format, 853, 481).unwrap();
            for (index, (row_bytes, count)) in rows.iter().enumerate() {
                let expected = frame.stride(index) * (count - 1) + row_bytes;
                assert_eq!(frame.plane(index).len(), expected, "{format:?} plane {index}");
            }
            assert!(frame.plane(rows.len()).is_empty());
        }
    }

    #[test]
    fn pictures_are_moved_and_shared_without_a_copy() {
        let mut first = Frame::with_buffer(AV_PIX_FMT_NV12, 64, 32).unwrap();
        first.set_tags(Tags { arrival_ns: 7, ..Tags::default() });
        let address = first.plane(0).as_ptr();
        let mut second = Frame::new();
        second.take_from(&mut first);
        assert!(first.is_empty());
        assert_eq!((first.arrival_ns(), second.arrival_ns()), (0, 7));
        first.ref_from(&second).unwrap();
        assert_eq!(first.plane(0).as_ptr(), address);
        second.clear();
        assert_eq!((first.width(), second.width()), (64, 0));
    }

    #[test]
    fn rows_stored_bottom_up_are_refused() {
        let mut frame = Frame::with_buffer(AV_PIX_FMT_NV12, 64, 32).unwrap();
        // SAFETY: our own frame; FFmpeg allows a negative stride.
        unsafe { (*frame.as_mut_ptr()).linesize[0] *= -1 };
        assert!(frame.plane(0).is_empty());
        assert_eq!(frame.stride(0), 0);
    }

    #[test]
    fn a_plane_that_leaves_its_buffer_is_refused() {
        let mut frame = Frame::with_buffer(AV_PIX_FMT_NV12, 64, 32).unwrap();
        // SAFETY: our own frame, with a height that is wrong on purpose.
        unsafe { (*frame.as_mut_ptr()).height = 1 << 20 };
        assert!(frame.plane(0).is_empty());
    }
}
