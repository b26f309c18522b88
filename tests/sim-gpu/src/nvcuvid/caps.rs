//! What the simulated NVDEC decodes: `SIM_GPU_CODECS` in 4:2:0, up to `SIM_GPU_MAX_SIDE`.

use std::ffi::c_int;

use super::abi::{CHROMA_420, DecodeCaps, NV12, P016, codec_name};
use crate::sim::abi::Out;
use crate::sim::config::config;
use crate::sim::site::{export, working_context};
use crate::sim::status::Status;

/// Limits of one codec and depth.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_width: u32,
    pub(super) max_height: u32,
    pub(super) min_width: u16,
    pub(super) min_height: u16,
}

/// The limits of a device for a codec, or None if it is not supported.
pub(super) fn limits(
    device: usize,
    codec: c_int,
    chroma_format: c_int,
    depth_minus_8: u64,
) -> Option<Limits> {
    let name = match (codec_name(codec), depth_minus_8) {
        (name, 0) => name.to_owned(),
        (name, more) => format!("{name}{}", 8 + more),
    };
    if chroma_format != CHROMA_420 || !config().codecs(device).contains(&name) {
        return None;
    }
    // As on Turing's NVDEC (H.264 4096, H.265 8192).
    let of_codec = if codec_name(codec) == "h264" { 4096 } else { 8192 };
    let max = of_codec.min(config().max_side);
    Some(Limits { max_width: max, max_height: max, min_width: 48, min_height: 16 })
}

export! {
    fn cuvidGetDecoderCaps(caps: Out<DecodeCaps>) |_call| {
        let device = working_context()?.device.ordinal;
        let mut answer = caps.get()?;
        let limits =
            limits(device, answer.codec, answer.chroma_format, answer.bit_depth_minus_8.into());
        answer.is_supported = limits.is_some().into();
        let Limits { max_width, max_height, min_width, min_height } =
            limits.unwrap_or(Limits { max_width: 0, max_height: 0, min_width: 0, min_height: 0 });
        (answer.max_width, answer.max_height) = (max_width, max_height);
        (answer.min_width, answer.min_height) = (min_width, min_height);
        answer.max_macroblocks = max_width / 16 * (max_height / 16);
        answer.nvdecs = match limits {
            Some(_) => u8::try_from(config().nvdecs).map_err(|_| Status::INVALID_VALUE)?,
            None => 0,
        };
        let formats = if answer.bit_depth_minus_8 > 0 { 1 << NV12 | 1 << P016 } else { 1 << NV12 };
        answer.output_formats = if limits.is_some() { formats } else { 0 };
        caps.set(answer)
    }
}
