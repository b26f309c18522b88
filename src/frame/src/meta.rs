//! A frame's metadata.

use std::fmt;
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::geometry::Geometry;

/// Which decoder made a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Decoder {
    /// Not stated.
    #[default]
    Unknown = 0,
    /// FFmpeg on the CPU.
    Software = 1,
    /// VA-API.
    Vaapi = 2,
    /// NVDEC.
    Nvdec = 3,
}

impl Decoder {
    /// The decoder for a code of the format; unknown codes are [`Unknown`](Self::Unknown).
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Software,
            2 => Self::Vaapi,
            3 => Self::Nvdec,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Software => "software",
            Self::Vaapi => "vaapi",
            Self::Nvdec => "nvdec",
        })
    }
}

/// Whether packets were lost between the last clean key frame and this frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing was lost.
    None,
    /// Packets were lost: the picture may be damaged even if the decoder reports no error.
    AfterLoss,
    /// The source can't tell.
    Unknown,
}

/// The integrity word of a frame: a frame is exact, or it is marked here.
///
/// ```
/// use vas_frame::{Flags, Loss};
///
/// let flags = Flags::KEY.with(Flags::AFTER_LOSS, true);
/// assert!(flags.contains(Flags::KEY) && !flags.contains(Flags::CORRUPT));
/// assert_eq!(flags.loss(), Loss::AfterLoss);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// Bit 0: a key frame.
    pub const KEY: Self = Self(1);
    /// Bit 1: the decoder or the demuxer marked it as corrupt.
    pub const CORRUPT: Self = Self(1 << 1);
    /// Bit 2: after a loss, until the next clean key frame.
    pub const AFTER_LOSS: Self = Self(1 << 2);
    /// Bit 3: the source can't tell whether packets were lost.
    pub const LOSS_UNKNOWN: Self = Self(1 << 3);
    /// Bit 4: the first frame after a break in the camera's time line (reconnect, overload, loop).
    pub const DISCONTINUITY: Self = Self(1 << 4);
    /// Bit 5: an interlaced picture, as two woven fields.
    pub const INTERLACED: Self = Self(1 << 5);

    /// The bits of the format.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Keeps every bit, known or not.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other` set if `on`.
    #[must_use]
    pub fn with(self, other: Self, on: bool) -> Self {
        if on { Self(self.0 | other.0) } else { self }
    }

    /// The loss that the flags state.
    #[must_use]
    pub fn loss(self) -> Loss {
        if self.contains(Self::AFTER_LOSS) {
            Loss::AfterLoss
        } else if self.contains(Self::LOSS_UNKNOWN) {
            Loss::Unknown
        } else {
            Loss::None
        }
    }
}

/// A width and a height, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// How much of the decoded picture is cropped on the left and at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Crop {
    /// Columns at the left edge.
    pub left: u32,
    /// Rows at the top edge.
    pub top: u32,
}

/// A rectangle within a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Rect {
    /// Its leftmost column.
    pub x: u32,
    /// Its topmost row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Where the camera's picture is in the slot's, if not all of it at its own size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Placement {
    /// The visible size of the camera's picture before scaling. Neither side is above
    /// [`MAX_SIDE`](crate::MAX_SIDE).
    pub source: Size,
    /// The part of the slot's picture that it fills. Outside of it there are bars.
    pub content: Rect,
}

impl Placement {
    /// The camera's picture is the slot's.
    pub(crate) fn whole(width: u32, height: u32) -> Self {
        Self { source: Size { width, height }, content: Rect { x: 0, y: 0, width, height } }
    }
}

/// What the writer states about a frame when it publishes it: the argument of
/// [`ClaimedSlot::publish`](crate::ClaimedSlot::publish).
///
/// Times are `CLOCK_MONOTONIC` nanoseconds, as from [`monotonic_ns`]. Readers get the same values
/// as fields of [`FrameMeta`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PublishMeta {
    /// Rises with every frame of a camera, across epochs and writers; gaps are frames not exported.
    pub frame_id: u64,
    /// Presentation time on the camera's own time line, in nanoseconds; `None` if it sent none.
    pub pts_ns: Option<i64>,
    /// When the frame's first packet arrived. The frame's age counts from here.
    pub arrival_ns: u64,
    /// When the decoder returned the frame.
    pub decoded_ns: u64,
    /// The time on which a rate limit measures the interval between frames, set at admission.
    pub gate_ns: u64,
    /// The camera's own wall clock for this frame as Unix time in nanoseconds, if it states one.
    pub wall_clock_ns: Option<i64>,
    /// Integrity.
    pub flags: Flags,
    /// Size of the decoded picture before cropping.
    pub coded: Size,
    /// Columns and rows cropped on the left and at the top.
    pub crop: Crop,
    /// Where the camera's picture is in the slot's; `None`: it is the slot's.
    pub placement: Option<Placement>,
    /// The decoder.
    pub decoder: Decoder,
}

impl PublishMeta {
    /// Where the camera's picture is in slots of this geometry.
    pub(crate) fn placement_in(&self, slot: &Geometry) -> Placement {
        self.placement.unwrap_or_else(|| Placement::whole(slot.width(), slot.height()))
    }
}

/// Everything that a reader can learn about a frame without touching its pixels.
///
/// Times are `CLOCK_MONOTONIC` nanoseconds, except [`pts_ns`](Self::pts_ns) and
/// [`wall_clock_ns`](Self::wall_clock_ns), which are the camera's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMeta {
    /// Rises with every frame of a camera, across epochs and writers; gaps are frames not exported.
    pub frame_id: u64,
    /// The frame's epoch: one size, format, color and writer.
    pub epoch: u64,
    /// Presentation time on the camera's own time line, in nanoseconds; `None` if it sent none.
    pub pts_ns: Option<i64>,
    /// When the frame's first packet arrived. [`age`](Self::age) counts from it.
    pub arrival_ns: u64,
    /// When the decoder returned the frame.
    pub decoded_ns: u64,
    /// The time on which a rate limit measures the interval between frames.
    pub gate_ns: u64,
    /// When the frame was published.
    pub published_ns: u64,
    /// The slot is not overwritten before this time.
    pub reuse_not_before_ns: u64,
    /// The camera's own wall clock for this frame as Unix time in nanoseconds, if it states one.
    pub wall_clock_ns: Option<i64>,
    /// Integrity.
    pub flags: Flags,
    /// Visible width in pixels.
    pub width: u32,
    /// Visible height in pixels.
    pub height: u32,
    /// Size of the decoded picture before cropping.
    pub coded: Size,
    /// Columns and rows cropped on the left and at the top.
    pub crop: Crop,
    /// The part of the slot's picture that the camera's picture fills.
    pub content: Rect,
    /// The visible size of the camera's picture before it was scaled to the content's rectangle.
    pub source: Size,
    /// The decoder.
    pub decoder: Decoder,
}

impl FrameMeta {
    /// How long ago the frame's first packet arrived.
    ///
    /// It includes the reader's own delay: call it when the frame is used.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_nanos(monotonic_ns().saturating_sub(self.arrival_ns))
    }

    /// The point of the camera's visible picture that is at `(x, y)` of the slot's, in pixels. Both count from the
    /// upper left corner of a picture, so the center of the first pixel is at `(0.5, 0.5)`. A point in a bar yields the
    /// nearest one of the camera's picture.
    ///
    /// With 1920x1080 in the middle of 640x640, between bars of 140 rows, `(320.0, 140.0)` yields `(960.0, 0.0)`.
    #[must_use]
    pub fn to_source(&self, x: f64, y: f64) -> (f64, f64) {
        let Rect { x: left, y: top, width, height } = self.content;
        let along = |at: f64, from: u32, length: u32, source: u32| {
            let source = f64::from(source);
            ((at - f64::from(from)) * source / f64::from(length.max(1))).clamp(0.0, source)
        };
        (along(x, left, width, self.source.width), along(y, top, height, self.source.height))
    }

    /// What the writer stated about the frame when it published it.
    #[must_use]
    pub fn publish_meta(&self) -> PublishMeta {
        PublishMeta {
            frame_id: self.frame_id,
            pts_ns: self.pts_ns,
            arrival_ns: self.arrival_ns,
            decoded_ns: self.decoded_ns,
            gate_ns: self.gate_ns,
            wall_clock_ns: self.wall_clock_ns,
            flags: self.flags,
            coded: self.coded,
            crop: self.crop,
            placement: self.placement(),
            decoder: self.decoder,
        }
    }

    fn placement(&self) -> Option<Placement> {
        let placement = Placement { source: self.source, content: self.content };
        (placement != Placement::whole(self.width, self.height)).then_some(placement)
    }
}

/// The only conversion to the gate's stamp, which [`vas_gate::decide()`] judges and
/// [`vas_gate::State::dispatched`] records.
#[cfg(feature = "gate")]
impl From<&FrameMeta> for vas_gate::Stamp {
    fn from(meta: &FrameMeta) -> Self {
        Self {
            epoch: meta.epoch,
            frame_id: meta.frame_id,
            gate_ns: meta.gate_ns,
            published_ns: meta.published_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_state_the_loss() {
        assert_eq!(Flags::default().loss(), Loss::None);
        assert_eq!(Flags::LOSS_UNKNOWN.loss(), Loss::Unknown);
        // A known loss outweighs an unknown one.
        assert_eq!(Flags::LOSS_UNKNOWN.with(Flags::AFTER_LOSS, true).loss(), Loss::AfterLoss);
        assert_eq!(Flags::KEY.with(Flags::CORRUPT, false), Flags::KEY);
    }

    #[test]
    fn unknown_bits_survive() {
        assert_eq!(Flags::from_bits(0x8000_0001).bits(), 0x8000_0001);
        assert!(Flags::from_bits(0x8000_0001).contains(Flags::KEY));
    }
}
