//! Images, through which a program reads surfaces.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::buffer::{BUFFERS, Buffer};
use super::display::Display;
use super::format::{Format, Holder, Layout};
use super::memory::{Memory, Region};
use super::surface::{SURFACES, Surface};
use crate::libva::abi;
use crate::sim::abi::Out;
use crate::sim::misuse::{Kind, report};
use crate::sim::registry::{Registry, new_id};
use crate::sim::site::calls;
use crate::sim::status::{Result, Status};
use crate::sim::wait;

/// All living images.
pub(crate) static IMAGES: Registry<Image> = Registry::new("image", Status::INVALID_IMAGE);
/// Bytes copied from surfaces into images.
pub(crate) static READ: AtomicU64 = AtomicU64::new(0);

/// One image.
pub(crate) struct Image {
    width: usize,
    height: usize,
    format: Format,
    layout: Layout,
    buffer_id: u32,
    buffer: Arc<Buffer>,
}

impl Image {
    /// Creates an image with its buffer, and describes it.
    fn create(
        display: &Display,
        format: Format,
        (width, height): (usize, usize),
        surface: Option<Arc<Surface>>,
    ) -> Result<abi::Image> {
        let layout = match &surface {
            Some(surface) => surface.layout,
            None => Layout::new(Holder::Image, format, width, height),
        };
        let memory = Memory::new(layout.bytes).ok_or(Status::ALLOCATION_FAILED)?;
        memory.fill();
        let (buffer_id, id) = (new_id(), new_id());
        let buffer = Arc::new(Buffer::of_image(memory, surface.map(|surface| (surface, layout))));
        BUFFERS.insert_as(display, buffer_id, Arc::clone(&buffer));
        let image = Self { width, height, format, layout, buffer_id, buffer };
        IMAGES.insert_as(display, id, Arc::new(image));
        let mut described = abi::Image::default();
        described.image_id = id;
        described.format = format.image_format();
        described.buf = buffer_id;
        (described.width, described.height) = (width as u16, height as u16);
        described.data_size = layout.bytes as u32;
        described.num_planes = 2;
        described.pitches = [layout.pitch as u32, layout.pitch as u32, 0];
        described.offsets = [layout.luma as u32, layout.chroma as u32, 0];
        Ok(described)
    }
}

calls! {
    /// Creates an image of its own.
    fn vaCreateImage(
        format: Out<abi::ImageFormat>,
        width: c_int,
        height: c_int,
        image: Out<abi::Image>,
    ) |call| {
        let fourcc = format.get()?.fourcc;
        let format = Format::from_fourcc(fourcc).ok_or(Status::INVALID_IMAGE_FORMAT)?;
        let sizes = 1..=c_int::from(u16::MAX >> 1);
        if !sizes.contains(&width) || !sizes.contains(&height) {
            return Err(Status::RESOLUTION_NOT_SUPPORTED);
        }
        let size = (width as usize, height as usize);
        image.set(Image::create(call.display, format, size, None)?)
    }

    /// Makes an image of a surface's own memory.
    fn vaDeriveImage(surface: u32, image: Out<abi::Image>) |call| {
        let surface = SURFACES.get(call.display, surface)?;
        if call.display.node.setting("derive") == 0 {
            return Err(Status::OPERATION_FAILED);
        }
        let size = (surface.width, surface.height);
        image.set(Image::create(call.display, surface.format, size, Some(surface))?)
    }

    /// Destroys an image and its buffer.
    fn vaDestroyImage(id: u32) |call| {
        let image = IMAGES.remove(call.display, id)?;
        if image.buffer.is_mapped() {
            report(Kind::DestroyInUse, format_args!("image {id:#x} is mapped"));
        }
        BUFFERS.remove(call.display, image.buffer_id).map(drop)
    }

    /// Copies a region of a surface into an image.
    fn vaGetImage(
        surface: u32,
        x: c_int,
        y: c_int,
        width: u32,
        height: u32,
        image: u32,
    ) |call| {
        let image = IMAGES.get(call.display, image)?;
        let surface = SURFACES.get(call.display, surface)?;
        if image.format != surface.format {
            return Err(Status::INVALID_IMAGE_FORMAT);
        }
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return Err(Status::INVALID_PARAMETER);
        };
        let region = Region { x, y, width: width as usize, height: height as usize };
        let fits = |width, height| x + region.width <= width && y + region.height <= height;
        if !fits(surface.width, surface.height)
            || region.width > image.width
            || region.height > image.height
        {
            report(Kind::OutOfBounds, format_args!("{region:?}"));
            return Err(Status::INVALID_PARAMETER);
        }
        if x % 2 + y % 2 > 0 {
            return Err(Status::INVALID_PARAMETER);
        }
        if image.buffer.is_mapped() {
            report(Kind::FilledWhileMapped, format_args!("the image of a vaGetImage"));
        }
        let content = surface.begin_read();
        let (layout, format) = (&image.layout, image.format);
        let bytes =
            image.buffer.fill(|memory| memory.write_picture(layout, format, content, region));
        let outcome = wait::pause(&call.display.node, call.display.node.read_time(bytes));
        surface.end_read();
        outcome?;
        call.bytes = bytes;
        READ.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}
