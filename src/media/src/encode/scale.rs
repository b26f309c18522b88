//! Converts frames to the encoder's size and to yuv420p with limited range.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use ffmpeg_sys_next as ffi;
use ffmpeg_sys_next::AVPixelFormat::AV_PIX_FMT_YUV420P;

use super::surfaces::SurfaceReader;
use crate::av::{AvError, check, to_c_int};
use crate::color::{Range, descriptor, pixel_format};
use crate::compat::SWS_BILINEAR;
use crate::cuda::{Downloader, GpuError};
use crate::error::EncodeError;
use crate::frame::Frame;

/// Converts frames to the size and format of an encoder. Frames that already match are not copied.
pub(super) struct Scaler {
    size: (u32, u32),
    context: Option<Context>,
    /// Set while frames come from a GPU.
    downloader: Option<Downloader>,
    /// Set while frames come from a render node.
    reader: Option<SurfaceReader>,
    downloaded: Frame,
}

impl Scaler {
    pub(super) fn to(size: (u32, u32)) -> Self {
        Self { size, context: None, downloader: None, reader: None, downloaded: Frame::new() }
    }

    /// Converts `frame` in place.
    pub(super) fn fit(&mut self, frame: &mut Frame) -> Result<(), EncodeError> {
        if is_on_device(frame) {
            self.download(frame).map_err(EncodeError::Download)?;
        } else {
            // The camera has switched to the processor: release the GPU.
            (self.downloader, self.reader) = (None, None);
        }
        let matches = frame.format() == AV_PIX_FMT_YUV420P as c_int
            && frame.color().range != Range::Full
            && (frame.width(), frame.height()) == self.size;
        if matches {
            return Ok(());
        }
        let failed = |cause| EncodeError::Scale { format: frame.format_name(), cause };
        let key = Key::of(frame).map_err(failed)?;
        let size = self.size;
        let context = match &mut self.context {
            Some(context) if context.key == key => context,
            context => context.insert(Context::new(key, size).map_err(failed)?),
        };
        let scaled = context.scale(frame, size).map_err(failed)?;
        *frame = scaled;
        Ok(())
    }

    /// Copies a frame from its GPU to memory, and waits for the copy; for a render node, a bounded time.
    fn download(&mut self, frame: &mut Frame) -> Result<(), GpuError> {
        if let Some(node) = frame.render_node() {
            self.downloader = None;
            let reader = match self.reader.take() {
                Some(reader) if reader.reads(node) => reader,
                _ => SurfaceReader::start(node)?,
            };
            return Ok(self.reader.insert(reader).read(frame)?);
        }
        self.reader = None;
        // A frame without a surface fails on any GPU; use the first.
        let ordinal = frame.surface().map_or(0, |surface| surface.device);
        let downloader = match self.downloader.take() {
            Some(downloader) if downloader.ordinal() == ordinal => downloader,
            _ => Downloader::open(ordinal)?,
        };
        // A downloader that fails is dropped: a lost GPU can be opened again once all users have dropped it.
        downloader.download(frame, &mut self.downloaded)?;
        self.downloader = Some(downloader);
        frame.take_from(&mut self.downloaded);
        Ok(())
    }
}

/// Whether a frame's samples are in device memory.
fn is_on_device(frame: &Frame) -> bool {
    let flag = ffi::AV_PIX_FMT_FLAG_HWACCEL as u64;
    descriptor(frame.format()).is_some_and(|descriptor| descriptor.flags & flag != 0)
}

/// The kind of frame that a context is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    format: c_int,
    size: (u32, u32),
    is_full: bool,
    matrix: u8,
}

impl Key {
    fn of(frame: &Frame) -> Result<Self, AvError> {
        let known = pixel_format(frame.format()).ok_or(AvError::new(-libc::EINVAL))?;
        // SAFETY: looks a format up in a static table.
        if unsafe { ffi::sws_isSupportedInput(known) } == 0 {
            return Err(AvError::new(-libc::ENOSYS));
        }
        let color = frame.color();
        Ok(Self {
            format: frame.format(),
            size: (frame.width(), frame.height()),
            is_full: color.range == Range::Full,
            matrix: color.matrix,
        })
    }
}

struct Context {
    scaler: NonNull<ffi::SwsContext>,
    key: Key,
}

// SAFETY: a scaler may be used from any thread, one at a time; this is its only handle.
unsafe impl Send for Context {}

impl Context {
    fn new(key: Key, size: (u32, u32)) -> Result<Self, AvError> {
        let format = pixel_format(key.format).ok_or(AvError::new(-libc::EINVAL))?;
        let side = |pixels: u32| to_c_int(pixels as usize);
        // SAFETY: both formats are known; null filters and parameters mean none.
        let scaler = NonNull::new(unsafe {
            ffi::sws_getContext(
                side(key.size.0),
                side(key.size.1),
                format,
                side(size.0),
                side(size.1),
                AV_PIX_FMT_YUV420P,
                // Fast, and without ringing, which would cost the encoder bits.
                SWS_BILINEAR,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            )
        });
        let context = Self { scaler: scaler.ok_or(AvError::new(-libc::EINVAL))?, key };
        // SAFETY: our own context; the tables are static. The call returns -1 if there is nothing to set. The
        // last three numbers are 16.16 fixed point: brightness 0, contrast 1, saturation 1. The matrix
        // is kept; only the range becomes limited, as browsers expect.
        unsafe {
            let table = ffi::sws_getCoefficients(c_int::from(key.matrix));
            let full = c_int::from(key.is_full);
            let (raw, one) = (context.scaler.as_ptr(), 1 << 16);
            ffi::sws_setColorspaceDetails(raw, table, full, table, 0, 0, one, one);
        }
        Ok(context)
    }

    fn scale(&mut self, frame: &Frame, size: (u32, u32)) -> Result<Frame, AvError> {
        // A new buffer for each picture, because the encoder may keep a reference.
        let mut target = Frame::with_buffer(AV_PIX_FMT_YUV420P, size.0, size.1)?;
        let (source, raw) = (frame.as_ptr(), target.as_mut_ptr());
        // SAFETY: `frame` has the format and size that the context was made for; the target is ours and has the
        // context's output format and size, with FFmpeg's padding for vectors that end past a row.
        let rows = check(unsafe {
            ffi::sws_scale(
                self.scaler.as_ptr(),
                (&raw const (*source).data).cast(),
                (&raw const (*source).linesize).cast(),
                0,
                to_c_int(self.key.size.1 as usize),
                (&raw const (*raw).data).cast(),
                (&raw const (*raw).linesize).cast(),
            )
        })?;
        if rows != to_c_int(size.1 as usize) {
            return Err(AvError::new(ffi::AVERROR_BUG));
        }
        // SAFETY: two valid frames.
        check(unsafe { ffi::av_frame_copy_props(raw, source) })?;
        target.set_limited_range();
        target.inherit_tags(frame);
        Ok(target)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { ffi::sws_freeContext(self.scaler.as_ptr()) };
    }
}
