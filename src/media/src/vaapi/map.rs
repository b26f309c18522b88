//! Maps a decoded surface into memory, for reading.

use std::ffi::c_int;

use ffmpeg_sys_next as ffi;

use crate::av::{AvError, check, to_c_int};
use crate::color::{PixelLayout, descriptor, pixel_format};
use crate::frame::Frame;

impl Frame {
    /// Maps the picture of `surface`, a frame that VA-API decoded, and refers to it until this frame is cleared. Waits
    /// for the picture to be decoded, and for the driver to copy it to memory that the processor can read fast. The
    /// planes begin at the visible picture; the format is the driver's: NV12 or P010, or for JPEG perhaps another.
    ///
    /// FFmpeg's `av_hwframe_transfer_data` does the same and then copies the picture; here the caller reads the mapped
    /// rows itself, so that a crop, a conversion or a filter needs no copy before it.
    ///
    /// # Errors
    /// FFmpeg's; the reason is in its log. This frame is then empty.
    pub fn map_from(&mut self, surface: &Frame) -> Result<(), AvError> {
        self.clear();
        if surface.layout() != PixelLayout::Vaapi {
            return Err(AvError::new(-libc::EINVAL));
        }
        // SAFETY: two different valid frames, `self` without a picture and without a format: FFmpeg takes the surface's
        // own. It keeps a reference to the surface until `self` is cleared.
        let mapped = check(unsafe {
            ffi::av_hwframe_map(
                self.as_mut_ptr(),
                surface.as_ptr(),
                ffi::AV_HWFRAME_MAP_READ as c_int,
            )
        });
        if let Err(error) = mapped {
            self.clear();
            return Err(error);
        }
        self.inherit_tags(surface);
        self.set_mapped();
        let (left, top) = (surface.crop().left as usize, surface.crop().top as usize);
        let raw = self.as_mut_ptr();
        // SAFETY: our own valid frame. FFmpeg checked the crop against the surface's size, and the mapping is of the
        // whole surface; so the visible picture begins within it.
        unsafe {
            let Some(known) = descriptor((*raw).format) else { return Ok(()) };
            let Some(format) = pixel_format((*raw).format) else { return Ok(()) };
            for plane in 0..ffi::av_pix_fmt_count_planes(format).clamp(0, 4) as usize {
                let is_chroma = plane == 1 || plane == 2;
                let (across, down) = match is_chroma {
                    true => (known.log2_chroma_w, known.log2_chroma_h),
                    false => (0, 0),
                };
                // Whole pairs of samples; a format's first component of a plane has the step from sample to sample.
                let step = known.comp.iter().find(|comp| comp.plane as usize == plane);
                let step = step.map_or(1, |comp| usize::try_from(comp.step).unwrap_or(1));
                let stride = usize::try_from((*raw).linesize[plane]).unwrap_or(0);
                let offset = (top >> down) * stride + (left >> across) * step;
                (*raw).data[plane] = (*raw).data[plane].wrapping_add(offset);
            }
            (*raw).width = to_c_int(surface.width() as usize);
            (*raw).height = to_c_int(surface.height() as usize);
        }
        Ok(())
    }

    /// Copies the picture of `surface` to memory of its own.
    ///
    /// # Errors
    /// As for [`map_from`](Self::map_from), or out of memory.
    pub(crate) fn download_from(&mut self, surface: &Frame) -> Result<(), AvError> {
        let mut mapped = Frame::new();
        mapped.map_from(surface)?;
        let format = pixel_format(mapped.format()).ok_or(AvError::new(-libc::EINVAL))?;
        *self = Frame::with_buffer(format, mapped.width(), mapped.height())?;
        // SAFETY: two valid frames of one format and size; `self` has memory of its own.
        check(unsafe {
            ffi::av_frame_copy_props(self.as_mut_ptr(), surface.as_ptr());
            ffi::av_frame_copy(self.as_mut_ptr(), mapped.as_ptr())
        })?;
        self.inherit_tags(surface);
        Ok(())
    }
}
