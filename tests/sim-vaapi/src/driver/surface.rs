//! Surfaces, which hold the picture's content and no bytes: those come into being where they are read.

use std::ffi::c_int;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use vas_sim_common::picture::{Content, mix};

use super::context;
use super::display::Display;
use super::format::{Format, Holder, Layout};
use crate::libva::abi::{self, SurfaceAttrib};
use crate::sim::abi::{List, Out};
use crate::sim::config::config;
use crate::sim::misuse::{Kind, report};
use crate::sim::node::Node;
use crate::sim::registry::Registry;
use crate::sim::site::{Call, calls};
use crate::sim::status::{Result, Status};
use crate::sim::{lock, wait};

/// All living surfaces.
pub(crate) static SURFACES: Registry<Surface> = Registry::new("surface", Status::INVALID_SURFACE);

/// One surface. Its memory stays allocated as long as an image or a decoder refers to it.
pub(crate) struct Surface {
    pub(crate) id: u32,
    node: Arc<Node>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) format: Format,
    pub(crate) layout: Layout,
    state: Mutex<State>,
}

struct State {
    content: Content,
    /// When the picture will be decoded; None once somebody waited for it.
    pending: Option<Instant>,
    /// Copies into images, and maps of derived images, that are going on.
    reads: u32,
}

impl Surface {
    fn new(node: &Arc<Node>, id: u32, width: usize, height: usize, format: Format) -> Result<Self> {
        let layout = Layout::new(Holder::Surface, format, width, height);
        if !node.surfaces.try_add(1, node.setting("max_surfaces")) {
            return Err(Status::ALLOCATION_FAILED);
        }
        if !node.memory.try_add(layout.bytes as u64, node.setting("memory_bytes")) {
            node.surfaces.subtract(1);
            return Err(Status::ALLOCATION_FAILED);
        }
        let content = noise(id);
        let state = Mutex::new(State { content, pending: None, reads: 0 });
        Ok(Self { id, node: Arc::clone(node), width, height, format, layout, state })
    }

    /// A picture was submitted for it.
    pub(crate) fn decode(&self, content: Content) {
        let ready_at = self.node.decode();
        let mut state = lock(&self.state);
        if state.reads > 0 {
            report(Kind::OverwrittenWhileRead, format_args!("surface {:#x}", self.id));
        }
        state.content = content;
        state.pending = Some(ready_at);
    }

    /// Waits for its picture.
    fn sync(&self) -> Result {
        wait::until(&self.node, || !self.is_decoding())?;
        lock(&self.state).pending = None;
        Ok(())
    }

    fn is_decoding(&self) -> bool {
        let is_held = self.node.setting("hold_pictures") != 0;
        lock(&self.state).pending.is_some_and(|ready_at| is_held || Instant::now() < ready_at)
    }

    /// Reading begins: its content, or noise and a misuse if nobody waited for its picture.
    pub(crate) fn begin_read(&self) -> Content {
        let mut state = lock(&self.state);
        state.reads += 1;
        if state.pending.is_none() {
            return state.content;
        }
        report(Kind::UnsynchronisedRead, format_args!("surface {:#x}", self.id));
        noise(self.id)
    }

    /// Reading ends.
    pub(crate) fn end_read(&self) {
        lock(&self.state).reads -= 1;
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        self.node.surfaces.subtract(1);
        self.node.memory.subtract(self.layout.bytes as u64);
    }
}

/// What a surface holds that no picture was decoded into.
fn noise(id: u32) -> Content {
    Content::new(mix(config().seed ^ u64::from(id)))
}

/// Creates surfaces, all or none.
fn create(
    call: &mut Call<'_>,
    format: Format,
    (width, height): (u32, u32),
    list: Out<u32>,
    count: u32,
) -> Result {
    let sizes = 1..=config().max_size;
    if !sizes.contains(&width) || !sizes.contains(&height) {
        return Err(Status::RESOLUTION_NOT_SUPPORTED);
    }
    let display = call.display;
    let mut made = Vec::new();
    for i in 0..count as usize {
        match create_one(display, width as usize, height as usize, format) {
            Ok((id, bytes)) => {
                made.push(id);
                call.bytes += bytes;
                list.set_at(i, id)?;
            }
            Err(status) => {
                for id in made {
                    SURFACES.remove(display, id)?;
                }
                call.bytes = 0;
                return Err(status);
            }
        }
    }
    Ok(())
}

fn create_one(
    display: &Display,
    width: usize,
    height: usize,
    format: Format,
) -> Result<(u32, u64)> {
    let mut bytes = 0;
    let id = SURFACES.try_insert_with(display, |id| {
        let surface = Surface::new(&display.node, id, width, height, format)?;
        bytes = surface.layout.bytes as u64;
        Ok(surface)
    })?;
    Ok((id, bytes))
}

calls! {
    /// Creates surfaces of a render target format.
    fn vaCreateSurfaces(
        width: c_int,
        height: c_int,
        rt_format: c_int,
        count: c_int,
        list: Out<u32>,
    ) |call| {
        let format = Format::from_rt_format(rt_format as u32).ok_or(Status::UNSUPPORTED_RT_FORMAT)?;
        create(call, format, (width as u32, height as u32), list, count as u32)
    }

    /// Creates surfaces with attributes.
    fn vaCreateSurfaces2(
        rt_format: u32,
        width: u32,
        height: u32,
        list: Out<u32>,
        count: u32,
        attributes: List<SurfaceAttrib>,
        attribute_count: u32,
    ) |call| {
        let mut format = Format::from_rt_format(rt_format).ok_or(Status::UNSUPPORTED_RT_FORMAT)?;
        for attribute in attributes.get(attribute_count) {
            if attribute.flags & abi::SETTABLE == 0 {
                continue;
            }
            match (attribute.kind, attribute.value) {
                (abi::PIXEL_FORMAT, fourcc) => {
                    let asked = Format::from_fourcc(fourcc as u32);
                    let asked = asked.filter(|asked| asked.rt_format() == rt_format);
                    format = asked.ok_or(Status::UNSUPPORTED_RT_FORMAT)?;
                }
                (abi::MEMORY_TYPE, abi::MEMORY_VA) => {}
                (abi::MEMORY_TYPE, _) => return Err(Status::UNSUPPORTED_MEMORY_TYPE),
                _ => return Err(Status::ATTR_NOT_SUPPORTED),
            }
        }
        create(call, format, (width, height), list, count)
    }

    /// Destroys surfaces.
    fn vaDestroySurfaces(list: List<u32>, count: c_int) |call| {
        let mut outcome = Ok(());
        for id in list.get(count as u32) {
            match SURFACES.remove(call.display, id) {
                Ok(surface) if lock(&surface.state).reads > 0 => {
                    report(Kind::DestroyInUse, format_args!("surface {id:#x} is being read"));
                }
                Ok(_) => {}
                Err(status) => outcome = Err(status),
            }
        }
        outcome
    }

    /// Lists what surfaces for a configuration can be.
    fn vaQuerySurfaceAttributes(id: u32, list: Out<SurfaceAttrib>, count: Out<u32>) |call| {
        let format = context::CONFIGS.get(call.display, id)?.format;
        let size = config().max_size as i32;
        let both = abi::GETTABLE | abi::SETTABLE;
        let attributes = [
            SurfaceAttrib::integer(abi::PIXEL_FORMAT, both, format.fourcc() as i32),
            SurfaceAttrib::integer(abi::MIN_WIDTH, abi::GETTABLE, 1),
            SurfaceAttrib::integer(abi::MAX_WIDTH, abi::GETTABLE, size),
            SurfaceAttrib::integer(abi::MIN_HEIGHT, abi::GETTABLE, 1),
            SurfaceAttrib::integer(abi::MAX_HEIGHT, abi::GETTABLE, size),
            SurfaceAttrib::integer(abi::MEMORY_TYPE, both, abi::MEMORY_VA),
        ];
        let room = count.get()?;
        count.set(attributes.len() as u32)?;
        if !list.is_wanted() {
            return Ok(());
        }
        if (room as usize) < attributes.len() {
            return Err(Status::MAX_NUM_EXCEEDED);
        }
        attributes.into_iter().enumerate().try_for_each(|(i, attribute)| list.set_at(i, attribute))
    }

    /// Waits for a surface's picture.
    fn vaSyncSurface(id: u32) |call| {
        SURFACES.get(call.display, id)?.sync()
    }

    /// Tells whether a surface's picture is decoded.
    fn vaQuerySurfaceStatus(id: u32, status: Out<i32>) |call| {
        let surface = SURFACES.get(call.display, id)?;
        status.set(if surface.is_decoding() { abi::RENDERING } else { abi::READY })
    }
}
