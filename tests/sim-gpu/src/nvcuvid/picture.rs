//! Submission of pictures to the decoder.

use std::ffi::c_int;

use super::abi::{DecodeStatus, PictureParams};
use super::decoder::{DECODERS, Picture};
use crate::picture::Content;
use crate::sim::abi::{Handle, In, Out, bytes};
use crate::sim::config::config;
use crate::sim::site::{Troubles, export, working_context};
use crate::sim::status::Status;
use crate::sim::{delay, lock};

/// `cuvidDecodeStatus`.
const INVALID: c_int = 0;
const IN_PROGRESS: c_int = 1;
const SUCCESS: c_int = 2;
const ERROR_CONCEALED: c_int = 9;

/// The content that replaces a picture whose decoding failed.
pub(super) fn concealed(content: Content) -> Content {
    content.then(b"concealed")
}

export! {
    // `async=` makes it the concealed picture of a bitstream that could not be decoded.
    fn cuvidDecodePicture(decoder: Handle, params: In<'_, PictureParams>) |call| {
        working_context()?;
        let decoder = DECODERS.get(decoder)?;
        decoder.context.health()?;
        let params = params.get()?;
        // SAFETY: the structure states the length of its bitstream.
        let bitstream = unsafe { bytes(params.bitstream, params.bitstream_len as usize) };
        if bitstream.is_empty() || params.slices == 0 {
            return Err(Status::INVALID_VALUE);
        }
        call.bytes = bitstream.len() as u64;
        let surface = usize::try_from(params.index).map_err(|_| Status::INVALID_VALUE)?;
        let submitted = match lock(&decoder.state).surfaces.get(surface) {
            Some(surface) => surface.submitted,
            None => return Err(Status::INVALID_VALUE),
        };
        // The second field of a picture adds to the first.
        let second = params.is_field != 0 && params.is_second_field != 0;
        let start = submitted.filter(|_| second).unwrap_or(Content::new(config().seed));
        let Troubles { slow_us, fails } = call.take_troubles();
        let time = delay::jittered(config().decode_us()) + delay::jittered(slow_us);
        let fails = fails.is_some();
        decoder.submit(Picture { surface, content: start.then(bitstream), time, fails });
        decoder.context.health()
    }

    fn cuvidGetDecodeStatus(decoder: Handle, index: c_int, status: Out<DecodeStatus>) |_call| {
        let decoder = DECODERS.get(decoder)?;
        let index = usize::try_from(index).map_err(|_| Status::INVALID_VALUE)?;
        let state = lock(&decoder.state);
        let surface = state.surfaces.get(index).ok_or(Status::INVALID_VALUE)?;
        status.set(DecodeStatus::new(match (surface.pending, surface.content) {
            (0, None) => INVALID,
            (0, Some(_)) if surface.failed => ERROR_CONCEALED,
            (0, Some(_)) => SUCCESS,
            _ => IN_PROGRESS,
        }))
    }
}
