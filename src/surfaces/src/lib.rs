//! The surfaces of a decoder on a GPU: how many there are, and what memory they take.
//!
//! Without FFmpeg, so that what only adds them up, such as `vas plan`, does not load it.

#![forbid(unsafe_code)]

use std::fmt;

/// Surfaces that a decoder on a GPU needs beyond its own: one for each frame of the frame path in
/// flight (three), and one that the decode thread holds. The same with the flag off, and in a build
/// without export: neither may change an option of a decoder (contract V3).
pub const EXTRA_SURFACES: u32 = 4;

/// Decoded pictures that an encoder holds at a time: four that wait, and the one being encoded.
pub const HELD_BY_ENCODER: u32 = 5;

/// The most decode surfaces that NVDEC accepts; FFmpeg requests as many output surfaces.
pub const MAX_SURFACES: u32 = 32;

/// Surfaces that FFmpeg adds to a codec's pool for the caller (FFmpeg 5.1, ff_decode_get_hw_frames_ctx in
/// libavcodec/decode.c).
pub const WORK_SURFACES: u32 = 3;

/// Surfaces that FFmpeg's NVDEC code adds to the stream's own (FFmpeg 5.1, ff_nvdec_frame_params in
/// libavcodec/nvdec.c).
pub const NVDEC_SURFACES: u32 = 2;

/// Bytes of an NV12 picture of this size without padding, in which pictures of 10 bits or another size are put.
#[must_use]
pub fn nv12_bytes((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height) * 3 / 2
}

/// `bytes` of surfaces of this width, with rows padded as far as is assumed.
#[must_use]
pub fn padded(bytes: u64, width: u32) -> u64 {
    let row = u64::from(width);
    bytes / row.max(1) * row.next_multiple_of(ROW_ALIGNMENT)
}

/// Surfaces that FFmpeg's VA-API code has for the pictures that a codec refers to, whatever the stream asks for, and for
/// the one being decoded (FFmpeg 5.1, vaapi_decode_make_config in libavcodec/vaapi_decode.c): H.264, H.265 and AV1.
pub const VAAPI_REFERENCES: u32 = 17;

/// The same for codecs of one picture at a time, such as JPEG.
pub const VAAPI_SINGLE: u32 = 3;

/// Surfaces of a VA-API decoder whose sinks hold `held` pictures at a time; `single` for a codec whose pictures refer to
/// no others.
#[must_use]
pub fn vaapi_surfaces(single: bool, held: u32) -> u32 {
    (if single { VAAPI_SINGLE } else { VAAPI_REFERENCES }) + WORK_SURFACES + held
}

/// Surfaces of a decoder whose stream asks for `dpb` pictures and whose sinks hold `held` at a time.
#[must_use]
pub fn surfaces(dpb: u32, held: u32) -> u32 {
    dpb + NVDEC_SURFACES + WORK_SURFACES + held
}

/// Device memory that a decoder must leave free, for copies, kernels and the driver's own.
pub const DEVICE_RESERVE: u64 = 32 << 20;

/// Device memory of one CUDA context, at least and at most, by others' reports.
pub const CONTEXT_BYTES: (u64, u64) = (107 << 20, 555 << 20);

/// Rows of a surface are assumed to start at multiples of this many bytes. The driver does not say how it aligns them
/// before there is a decoder.
const ROW_ALIGNMENT: u64 = 512;

/// A codec whose surfaces can be counted before the stream's parameter sets are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// H.264: coded sides are multiples of 16.
    H264,
    /// H.265: coded sides are multiples of 8 at least.
    H265,
}

impl Coding {
    /// The surfaces of a decoder for pictures of this size, at least: of a stream with one reference picture, whose
    /// pictures the sinks hold `held` of at a time.
    #[must_use]
    pub fn least_surfaces(self, size: (u32, u32), held: u32) -> SurfaceMemory {
        // One reference picture in H.264; the same, the current one and FFmpeg's in H.265 (FFmpeg 5.1, nvdec_h264.c
        // and nvdec_hevc.c).
        let pictures = match self {
            Self::H264 => 1,
            Self::H265 => 3,
        };
        SurfaceMemory::of(surfaces(pictures, held).min(MAX_SURFACES), self.coded(size))
    }

    /// The same at most: all that NVDEC accepts. Cameras send 10 bits in H.265 alone.
    #[must_use]
    pub fn most_surfaces(self, size: (u32, u32)) -> SurfaceMemory {
        let sample_bytes = match self {
            Self::H264 => 1,
            Self::H265 => 2,
        };
        SurfaceMemory::of_samples(MAX_SURFACES, self.coded(size), sample_bytes)
    }

    /// The size of coded pictures.
    #[must_use]
    pub fn coded(self, (width, height): (u32, u32)) -> (u32, u32) {
        let unit = match self {
            Self::H264 => 16,
            Self::H265 => 8,
        };
        (width.next_multiple_of(unit), height.next_multiple_of(unit))
    }
}

/// The number of surfaces of a decoder on a GPU, and the memory that they need at least.
///
/// Displays like `2 x 12 surfaces of 1920x1088, 75202560 bytes`, or without `2 x` for VA-API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SurfaceMemory {
    /// The number of surfaces. Of NVDEC's there are two of each: one to decode to and one to output.
    pub surfaces: u32,
    /// How many there are of each.
    pub of_each: u32,
    /// Width and height of each in pixels.
    pub size: (u32, u32),
    /// Bytes of all surfaces, without padding that the driver may add.
    pub bytes: u64,
}

impl SurfaceMemory {
    /// The memory for NVDEC's surfaces with 8 bits in 4:2:0.
    #[must_use]
    pub fn of(surfaces: u32, size: (u32, u32)) -> Self {
        Self::of_samples(surfaces, size, 1)
    }

    /// The memory for NVDEC's surfaces in 4:2:0 whose samples have so many bytes: 2 for 10 bits.
    #[must_use]
    pub fn of_samples(surfaces: u32, size: (u32, u32), sample_bytes: u64) -> Self {
        Self::with(surfaces, 2, size, sample_bytes)
    }

    /// The memory for VA-API's surfaces in 4:2:0, with samples of so many bytes. The driver decodes to the surface that
    /// it outputs.
    #[must_use]
    pub fn of_vaapi(surfaces: u32, size: (u32, u32), sample_bytes: u32) -> Self {
        Self::with(surfaces, 1, size, sample_bytes.into())
    }

    fn with(surfaces: u32, of_each: u32, size: (u32, u32), sample_bytes: u64) -> Self {
        let samples = u64::from(size.0) * u64::from(size.1) * 3 / 2;
        let bytes = u64::from(of_each) * u64::from(surfaces) * samples * sample_bytes;
        Self { surfaces, of_each, size, bytes }
    }

    /// Bytes with rows padded as far as is assumed.
    #[must_use]
    pub fn padded(&self) -> u64 {
        padded(self.bytes, self.size.0)
    }

    /// Whether `free` bytes may be enough. Fewer than `bytes` certainly are not.
    #[must_use]
    pub fn fits(&self, free: usize) -> bool {
        self.bytes <= free as u64
    }
}

impl fmt::Display for SurfaceMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { surfaces, of_each, size: (width, height), bytes } = self;
        if *of_each > 1 {
            write!(f, "{of_each} x ")?;
        }
        write!(f, "{surfaces} surfaces of {width}x{height}, {bytes} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surface_memory_counts_every_sample() {
        let memory = SurfaceMemory::of(12, (1920, 1088));
        assert_eq!(memory.bytes, 24 * 1920 * 1088 * 3 / 2);
        assert_eq!(SurfaceMemory::of_samples(12, (1920, 1088), 2).bytes, 2 * memory.bytes);
        assert!(memory.fits(75_202_560) && !memory.fits(75_202_559));
        assert_eq!(memory.to_string(), "2 x 12 surfaces of 1920x1088, 75202560 bytes");
    }

    #[test]
    fn padding_and_reserve_are_counted_before_a_decoder_is_opened() {
        assert_eq!(SurfaceMemory::of(10, (320, 192)).padded(), 20 * 512 * 192 * 3 / 2);
        assert_eq!(SurfaceMemory::of(12, (1024, 576)).padded(), 24 * 1024 * 576 * 3 / 2);
        assert_eq!(SurfaceMemory::of(12, (0, 0)).padded(), 0);
    }

    #[test]
    fn surfaces_have_the_coded_size() {
        let full_hd = |coding: Coding| coding.least_surfaces((1920, 1080), EXTRA_SURFACES);
        assert_eq!(full_hd(Coding::H264), SurfaceMemory::of(10, (1920, 1088)));
        assert_eq!(full_hd(Coding::H265), SurfaceMemory::of(12, (1920, 1080)));
        assert_eq!(Coding::H264.most_surfaces((320, 180)), SurfaceMemory::of(32, (320, 192)));
    }

    #[test]
    fn vaapi_has_one_of_each() {
        // As FFmpeg 5.1 was seen to create with four more.
        assert_eq!(vaapi_surfaces(false, EXTRA_SURFACES), 24);
        let memory = SurfaceMemory::of_vaapi(24, (1920, 1088), 2);
        assert_eq!(memory.bytes, 24 * 1920 * 1088 * 3);
        assert_eq!(memory.to_string(), "24 surfaces of 1920x1088, 150405120 bytes");
    }

    /// What the simulated device counted for streams with one reference picture
    /// (bench/results/download-2026-11-25.txt).
    #[test]
    fn surfaces_are_those_that_ffmpeg_asked_for() {
        assert_eq!(surfaces(1, EXTRA_SURFACES), 10);
    }
}
