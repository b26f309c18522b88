//! A frame that a reader was given, and the two ways to its pixels.

use std::sync::Arc;

use super::copy::{STREAM_FROM_BYTES, copy_plane};
use super::image::Nv12Image;
use super::mapped::Mapped;
use crate::geometry::Geometry;
use crate::stamp::FrameMeta;

/// A frame in the ring: its metadata, and where its pixels are for as long as they stay.
///
/// Holding one promises nothing beyond [`FrameMeta::reuse_not_before_ns`]; it keeps the epoch's memory
/// mapped, so do not keep many for long.
#[derive(Clone, Debug)]
pub struct Frame {
    ring: Arc<Mapped>,
    slot: u32,
    sequence: u64,
    meta: FrameMeta,
}

/// The slot was written again before the frame was done with: what was read of it is worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame {frame_id} was overwritten while it was read")]
pub struct Overwritten {
    /// The frame.
    pub frame_id: u64,
}

/// A frame's planes in shared memory, as pointers.
///
/// The bytes may change at any time, so they are never a Rust slice. Use them, then ask
/// [`Frame::still_valid`]: only a `true` makes the result worth anything.
#[derive(Clone, Copy, Debug)]
pub struct RawView {
    /// First byte of luma: `height` rows, `stride` bytes apart.
    pub y: *const u8,
    /// First byte of interleaved chroma: `height / 2` rows rounded up, `stride` bytes apart.
    pub uv: *const u8,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Visible width in pixels.
    pub width: u32,
    /// Visible height in pixels.
    pub height: u32,
}

impl Frame {
    pub(super) fn new(ring: Arc<Mapped>, slot: u32, sequence: u64, meta: FrameMeta) -> Self {
        Self { ring, slot, sequence, meta }
    }

    pub(super) fn ring(&self) -> &Mapped {
        &self.ring
    }

    /// All that is known of the frame.
    #[must_use]
    pub fn meta(&self) -> &FrameMeta {
        &self.meta
    }

    /// Size, stride and colour.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.ring.shape().geometry()
    }

    /// Whether the slot still holds this frame: everything read of it before this call was whole.
    #[must_use]
    pub fn still_valid(&self) -> bool {
        self.ring.still(self.slot, self.sequence)
    }

    /// Copies the picture, rows without padding, and says whether the copy is whole.
    ///
    /// # Errors
    /// [`Overwritten`] when the slot was written again meanwhile; `image` then holds no picture.
    pub fn copy_if_valid(&self, image: &mut Nv12Image) -> Result<(), Overwritten> {
        let overwritten = Overwritten { frame_id: self.meta.frame_id };
        if !self.still_valid() {
            image.clear();
            return Err(overwritten);
        }
        let shape = self.ring.shape();
        let geometry = shape.geometry();
        let slot = self.ring.slot(self.slot);
        let (luma, chroma) = image.reset(&geometry);
        let stream = geometry.tight_bytes() >= STREAM_FROM_BYTES;
        // SAFETY: `Shape::read` checked that both planes lie within the slot, and the slot is mapped.
        unsafe {
            copy_plane(slot, shape.stride, luma, geometry.width() as usize, stream);
            let uv = slot.add(shape.uv_offset);
            let row_bytes = geometry.chroma_row_bytes() as usize;
            copy_plane(uv, shape.stride, chroma, row_bytes, stream);
        }
        if self.still_valid() {
            Ok(())
        } else {
            image.clear();
            Err(overwritten)
        }
    }

    /// The planes in shared memory; see [`RawView`] for what may be done with them.
    #[must_use]
    pub fn raw(&self) -> RawView {
        let shape = self.ring.shape();
        let y = self.ring.slot(self.slot);
        // SAFETY: `Shape::read` checked that the chroma plane lies within the slot.
        let uv = unsafe { y.add(shape.uv_offset) };
        RawView { y, uv, stride: shape.stride, width: shape.width, height: shape.height }
    }
}
