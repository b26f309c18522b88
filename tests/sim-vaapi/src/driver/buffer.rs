//! Buffers: a picture's parameters and slices, and the memory of images.

use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use vas_sim_common::Peak;

use super::context::CONTEXTS;
use super::format::Layout;
use super::memory::{Memory, Region};
use super::surface::Surface;
use crate::libva::abi::IMAGE_BUFFER;
use crate::sim::abi::{List, Out};
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::registry::Registry;
use crate::sim::site::calls;
use crate::sim::status::Status;

/// All living buffers.
pub(crate) static BUFFERS: Registry<Buffer> = Registry::new("buffer", Status::INVALID_BUFFER);
/// Those that are mapped.
pub(crate) static MAPPED: Peak = Peak::new();

/// One buffer.
pub(crate) struct Buffer {
    /// None for an image's.
    pub(crate) context: Option<u32>,
    /// A `VABufferType`.
    pub(crate) kind: i32,
    pub(crate) memory: Memory,
    /// For a derived image: the surface whose memory this is.
    surface: Option<(Arc<Surface>, Layout)>,
    is_mapped: Mutex<bool>,
}

impl Buffer {
    fn new(context: u32, kind: i32, memory: Memory) -> Self {
        let is_mapped = Mutex::new(false);
        Self { context: Some(context), kind, memory, surface: None, is_mapped }
    }

    /// The memory of an image, inaccessible until it is mapped; of a surface if the image is derived.
    pub(crate) fn of_image(memory: Memory, surface: Option<(Arc<Surface>, Layout)>) -> Self {
        memory.allow(false);
        Self { context: None, kind: IMAGE_BUFFER, memory, surface, is_mapped: Mutex::new(false) }
    }

    pub(crate) fn is_mapped(&self) -> bool {
        *lock(&self.is_mapped)
    }

    /// Accesses the memory, mapped or not.
    pub(crate) fn fill<T>(&self, fill: impl FnOnce(&Memory) -> T) -> T {
        // Held, so that nobody maps or unmaps it meanwhile.
        let is_mapped = lock(&self.is_mapped);
        self.memory.allow(true);
        let outcome = fill(&self.memory);
        if !*is_mapped {
            self.memory.allow(false);
        }
        outcome
    }

    fn map(&self) -> *mut c_void {
        let mut is_mapped = lock(&self.is_mapped);
        if *is_mapped {
            report(Kind::MappedTwice, format_args!("a buffer of type {}", self.kind));
            return self.memory.base().cast();
        }
        *is_mapped = true;
        MAPPED.add(1);
        self.memory.allow(true);
        if let Some((surface, layout)) = &self.surface {
            let content = surface.begin_read();
            let Surface { width, height, format, .. } = **surface;
            let whole = Region { x: 0, y: 0, width, height };
            self.memory.write_picture(layout, format, content, whole);
        }
        self.memory.base().cast()
    }

    /// Whether it was mapped.
    pub(crate) fn unmap(&self) -> bool {
        let was_mapped = std::mem::take(&mut *lock(&self.is_mapped));
        if was_mapped {
            MAPPED.subtract(1);
            if self.kind == IMAGE_BUFFER {
                self.memory.allow(false);
            }
            if let Some((surface, _)) = &self.surface {
                surface.end_read();
            }
        }
        was_mapped
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.unmap();
    }
}

calls! {
    /// Creates a buffer, from data if there are any.
    fn vaCreateBuffer(
        context: u32,
        kind: i32,
        size: u32,
        elements: u32,
        data: List<u8>,
        id: Out<u32>,
    ) |call| {
        CONTEXTS.get(call.display, context)?;
        let len = size.checked_mul(elements).ok_or(Status::INVALID_PARAMETER)?;
        let memory = Memory::new(len as usize).ok_or(Status::ALLOCATION_FAILED)?;
        if !data.is_null() {
            memory.write(&data.get(len));
        }
        call.bytes = u64::from(len);
        id.set(BUFFERS.insert(call.display, Buffer::new(context, kind, memory)))
    }

    /// Gives the program access to a buffer.
    fn vaMapBuffer(id: u32, address: Out<*mut c_void>) |call| {
        let buffer = BUFFERS.get(call.display, id)?;
        call.bytes = buffer.memory.len() as u64;
        address.set(buffer.map())
    }

    /// Ends the access.
    fn vaUnmapBuffer(id: u32) |call| {
        if !BUFFERS.get(call.display, id)?.unmap() {
            report(Kind::NotMapped, format_args!("buffer {id:#x}"));
        }
        Ok(())
    }

    /// Destroys a buffer.
    fn vaDestroyBuffer(id: u32) |call| {
        if BUFFERS.remove(call.display, id)?.is_mapped() {
            report(Kind::DestroyInUse, format_args!("buffer {id:#x} is mapped"));
        }
        Ok(())
    }
}
