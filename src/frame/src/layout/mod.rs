//! The bytes of `frame.meta`, version 2: little-endian, 64-byte aligned, offsets checked at compile time.
//!
//! The tables [`HEADER`] and [`ENTRY`] are the single source: the structs are generated with them,
//! the layout hash is computed from them, and a test compares `docs/ref/frame-format.md` with them.

mod table;

pub(crate) use table::layout as layout_of;
pub use table::{Field, layout_hash};

use crate::meta::Size;
use crate::sync::{AtomicU32, AtomicU64, ModelU32, ModelU64};

/// Version of the layout, at byte 0. Version 1 readers check it and refuse.
pub const VERSION: u32 = 2;
/// `VASFRAME` at byte 64, as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"VASFRAME");
/// `pixel_format`: NV12.
pub const PIXEL_FORMAT_NV12: u32 = 0;
/// `pts_ns` if the camera sent no time.
pub const PTS_UNKNOWN: i64 = i64::MIN;
/// The most slots of a ring.
pub const MAX_SLOTS: u32 = 1024;

/// `state`: the writer publishes frames here.
pub const STATE_LIVE: u32 = 1;
/// `state`: a newer epoch has replaced this file; open the path again.
pub const STATE_SUPERSEDED: u32 = 2;
/// `state`: the writer stopped cleanly.
pub const STATE_STOPPED: u32 = 3;

/// The default export directory.
pub const DEFAULT_DIR: &str = "/dev/shm/vas";
/// Name of the metadata file in a camera's directory.
pub const META_FILE: &str = "frame.meta";
/// Name of the picture ring in a camera's directory.
pub const DATA_FILE: &str = "frame.data";
/// Name of the writer's lock file; readers never open it.
pub const WRITER_FILE: &str = ".writer";
/// Name of the file in which readers state their demand by read locks.
pub const READERS_FILE: &str = "readers";
/// The byte of `readers` on which a reader of every frame holds a read lock.
pub const DEMAND_BASE: u64 = 1 << 20;

layout_of! {
    /// The header: bytes 0 to 511 of `frame.meta`. All fields from `magic` on, except those of the
    /// cache line at 256, are constant for the life of the file.
    #[cfg_attr(loom, derive(Default))]
    pub struct Header = HEADER, "header", 512 {
        0 => version: AtomicU32, "2";
        4 => reserved_4: AtomicU32, "zero";
        8 => frame_id: ModelU64, "newest frame: its id; 0 before the first";
        16 => timestamp_ns: AtomicU64, "newest frame: when it was published, CLOCK_MONOTONIC";
        24 => width: AtomicU32, "visible width in pixels";
        28 => height: AtomicU32, "visible height in pixels";
        32 => pixel_format: AtomicU32, "0: NV12";
        36 => stride: AtomicU32, "bytes from row to row, both planes; a multiple of 64";
        40 => data_size: AtomicU64, "bytes of one picture in its slot, row padding included";
        48 => head_sequence: ModelU64, "guards frame_id, timestamp_ns, newest_slot; odd while they change";
        56 => newest_slot: ModelU32, "newest frame: its slot";
        60 => published: ModelU32, "futex word: changes with each publication and each change of state";
        64 => magic: AtomicU64, "the bytes VASFRAME";
        72 => layout_hash: AtomicU64, "FNV-1a 64 of the layout's table";
        80 => meta_size: AtomicU64, "bytes of this file that count";
        88 => header_size: AtomicU32, "512: where the entries begin";
        92 => entry_size: AtomicU32, "128";
        96 => slot_count: AtomicU32, "slots, 1 to 1024";
        100 => uv_offset: AtomicU32, "byte offset of the chroma plane in a slot";
        104 => slot_stride: AtomicU64, "bytes from slot to slot; whole pages";
        112 => ring_size: AtomicU64, "slot_count times slot_stride";
        120 => data_inode: AtomicU64, "inode of the frame.data that belongs to this file";
        128 => epoch: AtomicU64, "rises with each change of size, format, color or writer";
        136 => incarnation: AtomicU64, "one value a writer";
        144 => created_ns: AtomicU64, "when this epoch was opened, CLOCK_MONOTONIC";
        152 => lease_ns: AtomicU64, "a slot is not written again for this long after its publication";
        160 => frame_rate_num: AtomicU32, "nominal frames a second, numerator; 0 when unknown";
        164 => frame_rate_den: AtomicU32, "nominal frames a second, denominator";
        168 => color_range: AtomicU32, "0 unspecified (read as limited), 1 limited, 2 full";
        172 => color_primaries: AtomicU32, "ITU-T H.273 code";
        176 => color_transfer: AtomicU32, "ITU-T H.273 code";
        180 => color_matrix: AtomicU32, "ITU-T H.273 code";
        184 => chroma_location: AtomicU32, "0 unspecified, 1 left, 2 center, 3 top left, 4 top, 5 bottom left, 6 bottom";
        188 => bit_depth: AtomicU32, "bits a sample in the source; slots hold 8";
        192 => camera_id: [AtomicU64; 8], "UTF-8, padded with NUL";
        256 => state: ModelU32, "1 live, 2 superseded by a newer epoch, 3 stopped";
        260 => copying: ModelU32, "1 while every frame is copied, 0 while some are left out";
        264 => resumed_frame_id: ModelU64, "first frame id since copying last began";
        272 => reserved_272: [AtomicU64; 30], "zero";
    }
}

layout_of! {
    /// One slot's entry; entry `i` begins at byte `512 + 128 i` of `frame.meta`.
    #[cfg_attr(loom, derive(Default))]
    pub struct Entry = ENTRY, "entry", 128 {
        0 => sequence: ModelU64, "guards this entry and its slot; odd while either changes";
        8 => frame_id: ModelU64, "0: the slot holds no frame";
        16 => pts_ns: AtomicU64, "signed; camera's presentation time; -2^63 when unknown";
        24 => arrival_ns: AtomicU64, "arrival of the frame's first packet, CLOCK_MONOTONIC; age counts from here";
        32 => decoded_ns: AtomicU64, "when the decoder gave it out, CLOCK_MONOTONIC";
        40 => gate_ns: AtomicU64, "the time by which frames keep the distance of a rate limit, CLOCK_MONOTONIC";
        48 => published_ns: AtomicU64, "when it was published, CLOCK_MONOTONIC";
        56 => reuse_not_before_ns: ModelU64, "the slot is not written again before this, CLOCK_MONOTONIC";
        64 => wall_clock_ns: AtomicU64, "signed; camera's wall clock, Unix time; counts only if wall_quality is not 0";
        72 => wall_quality: AtomicU32, "0 none, 1 by RTCP sender reports";
        76 => flags: AtomicU32, "bit 0 key, 1 corrupt, 2 after loss, 3 loss unknown, 4 discontinuity, 5 interlaced";
        80 => width: AtomicU32, "visible width in pixels";
        84 => height: AtomicU32, "visible height in pixels";
        88 => coded_width: AtomicU32, "decoded width before cropping";
        92 => coded_height: AtomicU32, "decoded height before cropping";
        96 => crop_left: AtomicU32, "columns cropped away on the left";
        100 => crop_top: AtomicU32, "rows cropped away at the top";
        104 => content_x: AtomicU32, "rectangle that the camera's picture fills: left";
        108 => content_y: AtomicU32, "rectangle that the camera's picture fills: top";
        112 => content_width: AtomicU32, "rectangle that the camera's picture fills: width";
        116 => content_height: AtomicU32, "rectangle that the camera's picture fills: height";
        120 => decoder: AtomicU32, "0 unknown, 1 software, 2 VA-API, 3 NVDEC";
        124 => source_size: AtomicU32, "the camera's visible picture before scaling: width + 65536 * height";
    }
}

/// Hash of this layout, stored in each `frame.meta`.
pub const LAYOUT_HASH: u64 = layout_hash(VERSION, &[HEADER, ENTRY]);

/// `source_size`: a size in one number. Sides above 65,535, which no picture has, become that.
#[must_use]
pub(crate) fn pack_size(size: Size) -> u32 {
    size.width.min(0xffff) | size.height.min(0xffff) << 16
}

/// The size in a `source_size`.
#[must_use]
pub(crate) fn unpack_size(packed: u32) -> Size {
    Size { width: packed & 0xffff, height: packed >> 16 }
}

/// Bytes of a `frame.meta` with `slots` entries, in whole pages.
#[must_use]
pub const fn meta_bytes(slots: u32) -> u64 {
    (size_of::<Header>() as u64 + slots as u64 * size_of::<Entry>() as u64).next_multiple_of(4096)
}

#[cfg(target_endian = "big")]
compile_error!("frame.meta is little-endian and read in place: big-endian hosts are not supported");

#[cfg(test)]
pub(crate) mod tests;
