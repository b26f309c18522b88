//! Configurations, decoders, and the pictures submitted to them.

use std::ffi::c_int;
use std::sync::{Arc, Mutex};

use vas_sim_common::picture::Content;

use super::buffer::BUFFERS;
use super::caps;
use super::format::Format;
use super::surface::{SURFACES, Surface};
use crate::libva::abi::{self, ConfigAttrib, Profile};
use crate::sim::abi::{List, Out};
use crate::sim::config::config;
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::node::Node;
use crate::sim::registry::Registry;
use crate::sim::site::calls;
use crate::sim::status::Status;

/// All living configurations.
pub(crate) static CONFIGS: Registry<DecoderConfig> =
    Registry::new("config", Status::INVALID_CONFIG);
/// All living decoders, which VA-API calls contexts.
pub(crate) static CONTEXTS: Registry<Context> = Registry::new("context", Status::INVALID_CONTEXT);

/// What is to be decoded.
pub(crate) struct DecoderConfig {
    profile: Profile,
    pub(crate) format: Format,
}

/// One decoder.
pub(crate) struct Context {
    node: Arc<Node>,
    profile: Profile,
    format: Format,
    picture: Mutex<Option<Picture>>,
}

/// A picture between its begin and its end.
struct Picture {
    surface: Arc<Surface>,
    content: Content,
    bytes: u64,
}

impl Drop for Context {
    fn drop(&mut self) {
        self.node.contexts.subtract(1);
    }
}

/// Whether a JPEG picture's chroma has half the resolution of its luma in both directions: its
/// `VAPictureParameterBufferJPEGBaseline` (va_dec_jpeg.h) has from byte 4 on an identifier, two sampling factors
/// and a table for each component, and their number at byte 1024.
fn is_420(parameters: &[u8]) -> bool {
    let factors = |component: usize| parameters.get(4 + 4 * component + 1..4 + 4 * component + 3);
    parameters.get(1024) == Some(&3)
        && [factors(0), factors(1), factors(2)] == [Some(&[2, 2][..]), Some(&[1, 1]), Some(&[1, 1])]
}

calls! {
    /// Chooses what to decode.
    fn vaCreateConfig(
        profile: Profile,
        entrypoint: i32,
        attributes: List<ConfigAttrib>,
        count: c_int,
        id: Out<u32>,
    ) |call| {
        let format = caps::decoded_format(profile, entrypoint)?;
        for attribute in attributes.get(count as u32) {
            if attribute.kind == abi::RT_FORMAT && attribute.value & format.rt_format() == 0 {
                return Err(Status::UNSUPPORTED_RT_FORMAT);
            }
        }
        id.set(CONFIGS.insert(call.display, DecoderConfig { profile, format }))
    }

    /// Forgets a choice.
    fn vaDestroyConfig(id: u32) |call| {
        CONFIGS.remove(call.display, id).map(drop)
    }

    /// Tells what was chosen.
    fn vaQueryConfigAttributes(
        id: u32,
        profile: Out<Profile>,
        entrypoint: Out<i32>,
        list: Out<ConfigAttrib>,
        count: Out<c_int>,
    ) |call| {
        let chosen = CONFIGS.get(call.display, id)?;
        profile.set(chosen.profile)?;
        entrypoint.set(abi::DECODE)?;
        list.set(ConfigAttrib { kind: abi::RT_FORMAT, value: chosen.format.rt_format() })?;
        count.set(1)
    }

    /// Opens a decoder.
    fn vaCreateContext(
        config_id: u32,
        width: c_int,
        height: c_int,
        _flag: c_int,
        surfaces: List<u32>,
        count: c_int,
        id: Out<u32>,
    ) |call| {
        let chosen = CONFIGS.get(call.display, config_id)?;
        let (profile, format) = (chosen.profile, chosen.format);
        let sizes = 1..=config().max_size as c_int;
        if !sizes.contains(&width) || !sizes.contains(&height) {
            return Err(Status::RESOLUTION_NOT_SUPPORTED);
        }
        for surface in surfaces.get(count as u32) {
            SURFACES.get(call.display, surface)?;
        }
        let node = &call.display.node;
        if !node.contexts.try_add(1, node.setting("max_contexts")) {
            return Err(Status::MAX_NUM_EXCEEDED);
        }
        let picture = Mutex::new(None);
        let context = Context { node: Arc::clone(node), profile, format, picture };
        id.set(CONTEXTS.insert(call.display, context))
    }

    /// Closes a decoder; what it has queued is decoded all the same.
    fn vaDestroyContext(id: u32) |call| {
        CONTEXTS.remove(call.display, id).map(drop)
    }

    /// Begins a picture.
    fn vaBeginPicture(id: u32, surface: u32) |call| {
        let context = CONTEXTS.get(call.display, id)?;
        let surface = SURFACES.get(call.display, surface)?;
        if surface.format != context.format {
            return Err(Status::INVALID_SURFACE);
        }
        let picture = Picture { surface, content: Content::new(config().seed), bytes: 0 };
        if lock(&context.picture).replace(picture).is_some() {
            report(Kind::WrongOrder, format_args!("vaBeginPicture before the last picture's end"));
        }
        Ok(())
    }

    /// Submits buffers of a picture. Its content derives from the slices alone.
    fn vaRenderPicture(id: u32, list: List<u32>, count: c_int) |call| {
        let context = CONTEXTS.get(call.display, id)?;
        let mut picture = lock(&context.picture);
        let Some(picture) = picture.as_mut() else {
            report(Kind::WrongOrder, format_args!("vaRenderPicture without vaBeginPicture"));
            return Err(Status::OPERATION_FAILED);
        };
        for buffer in list.get(count as u32) {
            let buffer = BUFFERS.get(call.display, buffer)?;
            if buffer.context != Some(id) {
                report(Kind::ForeignObject, format_args!("a buffer of another context"));
                return Err(Status::INVALID_BUFFER);
            }
            let is_jpeg = context.profile == abi::JPEG_BASELINE;
            if is_jpeg && buffer.kind == abi::PICTURE_PARAMETERS && !is_420(&buffer.memory.read()) {
                return Err(Status::UNSUPPORTED_RT_FORMAT);
            }
            if buffer.kind == abi::SLICE_DATA {
                // As NVDEC gets it, so that one prediction serves both.
                picture.content = picture.content.then(&[0, 0, 1]).then(&buffer.memory.read());
                call.bytes += buffer.memory.len() as u64;
            }
        }
        picture.bytes += call.bytes;
        Ok(())
    }

    /// Queues a picture for decoding.
    fn vaEndPicture(id: u32) |call| {
        let context = CONTEXTS.get(call.display, id)?;
        let Some(picture) = lock(&context.picture).take() else {
            report(Kind::WrongOrder, format_args!("vaEndPicture without vaBeginPicture"));
            return Err(Status::OPERATION_FAILED);
        };
        call.bytes = picture.bytes;
        picture.surface.decode(picture.content);
        Ok(())
    }
}
