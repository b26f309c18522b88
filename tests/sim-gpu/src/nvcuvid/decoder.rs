//! Decoders: surfaces, the queue of four pictures, and the thread that decodes them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vas_sim_common::Peak;

use super::abi::{CreateInfo, NV12, P016};
use super::{caps, picture};
use crate::driver::context::Context;
use crate::driver::device::Charge;
use crate::driver::memory::{self, Storage};
use crate::picture::{Content, pitch};
use crate::sim::abi::{Handle, In, Out};
use crate::sim::config::config;
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::registry::Registry;
use crate::sim::site::{export, working_context};
use crate::sim::status::{Result, Status};

/// Pictures that wait before `cuvidDecodePicture` blocks, as in NVIDIA's guide.
const QUEUE: usize = 4;
/// The most surfaces that can be mapped at a time.
const MAX_OUTPUT_SURFACES: u64 = 64;

/// All living decoders.
pub(crate) static DECODERS: Registry<Decoder> = Registry::new("decoder");
/// Mapped surfaces of all decoders.
pub(crate) static MAPPED: Peak = Peak::new();

/// One decoder.
pub(crate) struct Decoder {
    pub(super) handle: Handle,
    pub(super) context: Arc<Context>,
    pub(super) shape: Shape,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    charge: Mutex<Option<Charge>>,
}

/// The layout of its output.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Bytes of a row that hold samples.
    pub(super) row: usize,
    /// Rows of the luma plane; the chroma plane begins right after.
    pub(super) rows: usize,
    pub(super) pitch: usize,
    pub(super) depth: u32,
    pub(super) output_surfaces: usize,
}

/// The state that callers and the thread share.
#[derive(Default)]
pub(super) struct State {
    pub(super) queue: VecDeque<Picture>,
    pub(super) surfaces: Vec<Surface>,
    pub(super) mapped: usize,
    /// Unmapped output memory, for reuse.
    pub(super) spare: Vec<Arc<Storage>>,
    closing: bool,
}

/// A picture in the engine's queue.
#[derive(Clone, Copy)]
pub(super) struct Picture {
    pub(super) surface: usize,
    pub(super) content: Content,
    pub(super) time: Duration,
    pub(super) fails: bool,
}

/// A decode surface.
#[derive(Clone, Copy, Default)]
pub(super) struct Surface {
    /// Pictures or fields for it that are not yet decoded.
    pub(super) pending: usize,
    /// The last submitted content.
    pub(super) submitted: Option<Content>,
    /// The decoded content.
    pub(super) content: Option<Content>,
    pub(super) failed: bool,
}

impl Shape {
    fn new(info: &CreateInfo) -> Result<Self> {
        let number = |value: u64| usize::try_from(value).map_err(|_| Status::INVALID_VALUE);
        let bytes = match info.output_format {
            NV12 => 1,
            P016 if info.bit_depth_minus_8 > 0 => 2,
            _ => return Err(Status::NOT_SUPPORTED),
        };
        let row = number(info.target_width)?.next_multiple_of(2) * bytes;
        Ok(Self {
            row,
            rows: number(info.target_height)?.next_multiple_of(2),
            pitch: pitch(config().seed, row),
            // NVDEC outputs a deeper stream in 8 bits if NV12 is requested.
            depth: if bytes == 1 { 8 } else { 8 + info.bit_depth_minus_8 as u32 },
            output_surfaces: number(info.output_surfaces)?,
        })
    }

    /// Bytes of one output surface.
    pub(super) fn bytes(&self) -> usize {
        self.pitch * (self.rows + self.rows / 2)
    }
}

impl Decoder {
    fn create(info: &CreateInfo) -> Result<Handle> {
        let context = working_context()?;
        let device = context.device;
        let (codec, chroma) = (info.codec, info.chroma_format);
        let limits = caps::limits(device.ordinal, codec, chroma, info.bit_depth_minus_8)
            .ok_or(Status::NOT_SUPPORTED)?;
        let fits = info.width <= limits.max_width.into()
            && info.height <= limits.max_height.into()
            && info.width >= limits.min_width.into()
            && info.height >= limits.min_height.into();
        let counts = (1..=config().max_surfaces).contains(&info.decode_surfaces)
            && (1..=MAX_OUTPUT_SURFACES).contains(&info.output_surfaces);
        if !fits || !counts {
            return Err(Status::INVALID_VALUE);
        }
        let shape = Shape::new(info)?;
        let surfaces = info.decode_surfaces + info.output_surfaces;
        let charge = device.charge(shape.bytes() as u64 * surfaces)?;
        if !device.decoders.try_add(1, config().max_decoders()) {
            return Err(Status::OUT_OF_MEMORY);
        }
        let count = usize::try_from(info.decode_surfaces).map_err(|_| Status::INVALID_VALUE)?;
        let state = State { surfaces: vec![Surface::default(); count], ..State::default() };
        let (handle, decoder) = DECODERS.insert_with(|handle| Self {
            handle,
            context,
            shape,
            state: Mutex::new(state),
            changed: Condvar::new(),
            charge: Mutex::new(Some(charge)),
        });
        let name = format!("sim-gpu-dec{}", device.ordinal);
        let thread = std::thread::Builder::new().name(name).spawn(move || decoder.work());
        thread.map_err(|_| Status::OPERATING_SYSTEM)?;
        Ok(handle)
    }

    /// Queues a picture, once there is room.
    pub(super) fn submit(&self, picture: Picture) {
        let mut state = lock(&self.state);
        while state.queue.len() >= QUEUE {
            state = self.wait(state);
        }
        let surface = &mut state.surfaces[picture.surface];
        surface.pending += 1;
        surface.submitted = Some(picture.content);
        state.queue.push_back(picture);
        self.changed.notify_all();
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn work(self: Arc<Self>) {
        while let Some(Picture { surface, content, time, fails }) = self.next() {
            self.context.device.decode(time);
            let mut state = lock(&self.state);
            // In the queue until now: an engine holds the picture that it decodes.
            state.queue.pop_front();
            let surface = &mut state.surfaces[surface];
            surface.pending -= 1;
            surface.content = Some(if fails { picture::concealed(content) } else { content });
            surface.failed = fails;
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<Picture> {
        let mut state = lock(&self.state);
        loop {
            match state.queue.front() {
                Some(picture) => return Some(*picture),
                None if state.closing => return None,
                None => state = self.wait(state),
            }
        }
    }

    /// Ends it after the submitted pictures.
    fn close(&self) {
        let mapped = memory::surfaces_of(self.handle.0);
        if !mapped.is_empty() {
            let (handle, count) = (self.handle.0, mapped.len());
            report(
                Kind::DestroyInUse,
                format_args!("decoder {handle:#x}, {count} surfaces mapped"),
            );
        }
        for block in mapped {
            MAPPED.subtract(1);
            // Missing only if another thread unmaps it at this moment.
            let _gone = memory::remove(block.address);
        }
        let mut state = lock(&self.state);
        state.closing = true;
        self.changed.notify_all();
        while !state.queue.is_empty() {
            state = self.wait(state);
        }
        drop(state);
        *lock(&self.charge) = None;
        self.context.device.decoders.subtract(1);
    }
}

/// The number of live decoders of a context.
pub(crate) fn living_in(context: &Context) -> usize {
    let decoders = DECODERS.all();
    decoders.iter().filter(|(_, decoder)| std::ptr::eq(&*decoder.context, context)).count()
}

export! {
    fn cuvidCreateDecoder(decoder: Out<Handle>, info: In<'_, CreateInfo>) |_call| {
        decoder.set(Decoder::create(info.get()?)?)
    }

    fn cuvidDestroyDecoder(decoder: Handle) |_call| {
        let decoder = DECODERS.remove(decoder)?;
        decoder.close();
        decoder.context.health()
    }
}
