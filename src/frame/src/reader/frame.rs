//! A frame from a reader, and the two ways to read its pixels.

use std::sync::Arc;

use super::copy::STREAM_FROM_BYTES;
use super::image::Nv12Image;
use super::mapped::Mapped;
use super::raw::{RawPlane, RawView};
use crate::geometry::Geometry;
use crate::meta::FrameMeta;

/// A frame in the ring: its metadata, and the location of its pixels while they stay.
///
/// The pixels are guaranteed until [`FrameMeta::reuse_not_before_ns`], no longer. A held frame keeps
/// its epoch's memory mapped, so do not keep many for long.
#[derive(Clone, Debug)]
pub struct Frame {
    ring: Arc<Mapped>,
    slot: u32,
    sequence: u64,
    meta: FrameMeta,
}

/// The slot was overwritten before the read ended: discard what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame {frame_id} was overwritten while it was read")]
pub struct Overwritten {
    /// The frame.
    pub frame_id: u64,
}

impl Frame {
    fn new(ring: Arc<Mapped>, slot: u32, sequence: u64, meta: FrameMeta) -> Self {
        Self { ring, slot, sequence, meta }
    }

    /// The newest readable frame.
    pub(crate) fn newest(ring: &Arc<Mapped>) -> Option<Self> {
        // The head suffices, unless its slot is being overwritten (rings of one or two slots).
        if let Some((slot, id)) = ring.head()
            && let Some(frame) = Self::in_slot(ring, slot)
            && frame.meta().frame_id >= id
        {
            return Some(frame);
        }
        Self::all(ring).max_by_key(|frame| frame.meta().frame_id)
    }

    /// The oldest readable frame above `id` that `wanted` accepts. `ended`: the ring was found to
    /// have [ended](Mapped::has_ended) before this call.
    pub(crate) fn oldest_after(
        ring: &Arc<Mapped>,
        id: u64,
        ended: bool,
        wanted: impl Fn(&Self) -> bool,
    ) -> Option<Self> {
        // The head is read before the entries, and no frame above it counts while the writer is active: a
        // frame published during the scan, in a slot already passed, would be skipped in favor of a later
        // one. A writer that died may have left the head odd, or without its last frame.
        let newest = if ended || !ring.is_live() { u64::MAX } else { ring.head()?.1 };
        let mut oldest: Option<Self> = None;
        for slot in 0..ring.shape().slots {
            let least = oldest.as_ref().map(Self::id);
            let older =
                |other| other > id && other <= newest && least.is_none_or(|least| other < least);
            let read = ring.read_entry_if(slot, older);
            let frame =
                read.map(|(sequence, meta)| Self::new(Arc::clone(ring), slot, sequence, meta));
            oldest = frame.filter(&wanted).or(oldest);
        }
        oldest
    }

    /// Each readable frame, in the order of the slots.
    pub(crate) fn all(ring: &Arc<Mapped>) -> impl Iterator<Item = Self> {
        (0..ring.shape().slots).filter_map(|slot| Self::in_slot(ring, slot))
    }

    fn in_slot(ring: &Arc<Mapped>, slot: u32) -> Option<Self> {
        let (sequence, meta) = ring.read_entry(slot)?;
        Some(Self::new(Arc::clone(ring), slot, sequence, meta))
    }

    pub(super) fn ring(&self) -> &Mapped {
        &self.ring
    }

    /// The frame's id: [`FrameMeta::frame_id`].
    #[must_use]
    pub fn id(&self) -> u64 {
        self.meta.frame_id
    }

    /// The frame's metadata.
    #[must_use]
    pub fn meta(&self) -> &FrameMeta {
        &self.meta
    }

    /// Size, stride and color.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.ring.shape().geometry()
    }

    /// Whether the slot still holds this frame: if so, everything read before this call is whole.
    #[must_use]
    pub fn still_valid(&self) -> bool {
        let valid = self.ring.still(self.slot, self.sequence);
        #[cfg(not(loom))]
        if !valid {
            self.ring.count_overwritten(self.id());
        }
        valid
    }

    /// Copies the picture, with rows without padding.
    ///
    /// # Errors
    /// [`Overwritten`] if the slot was overwritten meanwhile; `image` then holds no picture.
    pub fn copy_if_valid(&self, image: &mut Nv12Image) -> Result<(), Overwritten> {
        let overwritten = Overwritten { frame_id: self.meta.frame_id };
        if !self.still_valid() {
            image.clear();
            return Err(overwritten);
        }
        let (geometry, raw) = (self.geometry(), self.raw());
        let (luma, chroma) = image.reset(&geometry);
        let stream = geometry.tight_bytes() >= STREAM_FROM_BYTES;
        raw.y.copy_plane(luma, stream);
        raw.uv.copy_plane(chroma, stream);
        if self.still_valid() {
            Ok(())
        } else {
            image.clear();
            Err(overwritten)
        }
    }

    /// The mapping that this frame and all others of its epoch are in: first byte and length. For registering it with a
    /// device, read-only; it stays mapped as long as a frame of the epoch, or the reader in the epoch, exists.
    #[must_use]
    pub fn mapping(&self) -> (*const u8, usize) {
        self.ring.mapping()
    }

    /// The planes in shared memory, without a copy; see [`RawView`].
    #[must_use]
    pub fn raw(&self) -> RawView<'_> {
        let (shape, slot) = (self.ring.shape(), self.ring.slot(self.slot));
        let geometry = shape.geometry();
        // SAFETY: `Shape::read` checked that both planes lie within the slot, which stays mapped as long as the
        // ring, which this frame holds.
        unsafe {
            let plane = |start, row_bytes, rows| {
                RawPlane::from_raw_parts(start, shape.stride, row_bytes, rows)
            };
            let uv = slot.add(shape.uv_offset);
            RawView {
                y: plane(slot, shape.width as usize, shape.height as usize),
                uv: plane(
                    uv,
                    geometry.chroma_row_bytes() as usize,
                    geometry.chroma_rows() as usize,
                ),
            }
        }
    }
}
