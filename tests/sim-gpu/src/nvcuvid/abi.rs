//! The structures of `cuviddec.h` (API 11.1), as far as they are used here.

use std::ffi::{c_int, c_ulong};

use crate::sim::abi::Handle;

/// `cudaVideoSurfaceFormat`.
pub(super) const NV12: c_int = 0;
/// The same for more than 8 bits, samples in the high bits of 16.
pub(super) const P016: c_int = 1;
/// `cudaVideoChromaFormat_420`.
pub(super) const CHROMA_420: c_int = 1;

/// `cudaVideoCodec` by the names that `SIM_GPU_CODECS` uses.
pub(super) fn codec_name(codec: c_int) -> &'static str {
    match codec {
        0 => "mpeg1",
        1 => "mpeg2",
        2 => "mpeg4",
        3 => "vc1",
        4 => "h264",
        5 => "jpeg",
        8 => "hevc",
        9 => "vp8",
        10 => "vp9",
        11 => "av1",
        _ => "unknown",
    }
}

/// `CUVIDDECODECAPS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct DecodeCaps {
    pub(super) codec: c_int,
    pub(super) chroma_format: c_int,
    pub(super) bit_depth_minus_8: u32,
    reserved1: [u32; 3],
    pub(super) is_supported: u8,
    pub(super) nvdecs: u8,
    pub(super) output_formats: u16,
    pub(super) max_width: u32,
    pub(super) max_height: u32,
    pub(super) max_macroblocks: u32,
    pub(super) min_width: u16,
    pub(super) min_height: u16,
    histogram_supported: u8,
    counter_bit_depth: u8,
    max_histogram_bins: u16,
    reserved3: [u32; 10],
}

/// `CUVIDDECODECREATEINFO`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct CreateInfo {
    pub(super) width: c_ulong,
    pub(super) height: c_ulong,
    pub(super) decode_surfaces: c_ulong,
    pub(super) codec: c_int,
    pub(super) chroma_format: c_int,
    creation_flags: c_ulong,
    pub(super) bit_depth_minus_8: c_ulong,
    intra_only: c_ulong,
    max_width: c_ulong,
    max_height: c_ulong,
    reserved1: c_ulong,
    display_area: [i16; 4],
    pub(super) output_format: c_int,
    deinterlace_mode: c_int,
    pub(super) target_width: c_ulong,
    pub(super) target_height: c_ulong,
    pub(super) output_surfaces: c_ulong,
    lock: Handle,
    target_rect: [i16; 4],
    enable_histogram: c_ulong,
    reserved2: [c_ulong; 4],
}

/// `CUVIDPICPARAMS` up to what depends on the codec.
#[repr(C)]
pub(super) struct PictureParams {
    width_in_macroblocks: c_int,
    height_in_macroblocks: c_int,
    pub(super) index: c_int,
    pub(super) is_field: c_int,
    is_bottom_field: c_int,
    pub(super) is_second_field: c_int,
    pub(super) bitstream_len: u32,
    pub(super) bitstream: *const u8,
    pub(super) slices: u32,
    slice_offsets: *const u32,
    is_reference: c_int,
    is_intra: c_int,
}

/// `CUVIDPROCPARAMS` up to the stream.
#[repr(C)]
pub(super) struct ProcParams {
    progressive_frame: c_int,
    second_field: c_int,
    top_field_first: c_int,
    unpaired_field: c_int,
    reserved_flags: u32,
    reserved_zero: u32,
    raw_input_address: u64,
    raw_input_pitch: u32,
    raw_input_format: u32,
    raw_output_address: u64,
    raw_output_pitch: u32,
    reserved1: u32,
    pub(super) output_stream: Handle,
}

/// `CUVIDGETDECODESTATUS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct DecodeStatus {
    pub(super) status: c_int,
    reserved: [u32; 31],
    reserved_pointers: [usize; 8],
}

impl DecodeStatus {
    pub(super) fn new(status: c_int) -> Self {
        Self { status, reserved: [0; 31], reserved_pointers: [0; 8] }
    }
}

// Sizes and offsets as a C compiler gives them for the header of libffmpeg-nvenc-dev 11.1.5.2 on LP64.
const _: () = {
    assert!(size_of::<DecodeCaps>() == 88);
    assert!(std::mem::offset_of!(DecodeCaps, is_supported) == 24);
    assert!(std::mem::offset_of!(DecodeCaps, min_width) == 40);
    assert!(size_of::<CreateInfo>() == 176);
    assert!(std::mem::offset_of!(CreateInfo, codec) == 24);
    assert!(std::mem::offset_of!(CreateInfo, bit_depth_minus_8) == 40);
    assert!(std::mem::offset_of!(CreateInfo, output_format) == 88);
    assert!(std::mem::offset_of!(CreateInfo, target_width) == 96);
    assert!(std::mem::offset_of!(CreateInfo, output_surfaces) == 112);
    assert!(std::mem::offset_of!(PictureParams, bitstream_len) == 24);
    assert!(std::mem::offset_of!(PictureParams, bitstream) == 32);
    assert!(std::mem::offset_of!(PictureParams, slice_offsets) == 48);
    assert!(std::mem::offset_of!(ProcParams, output_stream) == 56);
    assert!(size_of::<DecodeStatus>() == 192);
};
