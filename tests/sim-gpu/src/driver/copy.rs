//! Copies between host and device.
//!
//! A copy is checked when it is queued (bounds, order, pinning) and done by its stream's thread.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use vas_sim_common::Peak;

use super::host::{self, InUse};
use super::memory::{self, Block, BlockUse};
use super::stream::{self, Stream, Work};
use crate::sim::abi::{Handle, In};
use crate::sim::config::config;
use crate::sim::delay;
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::site::{Call, export, working_context};
use crate::sim::status::{Result, Status};

/// Copies that are queued or running.
pub(crate) static PENDING: Peak = Peak::new();
/// Bytes that copies have moved over the link.
pub(crate) static COPIED: Peak = Peak::new();

/// How often a held copy checks whether it may continue.
const HELD_FOR: Duration = Duration::from_millis(1);

/// `CUDA_MEMCPY2D`.
#[repr(C)]
struct Memcpy2d {
    src_x: usize,
    src_y: usize,
    src_type: u32,
    src_host: usize,
    src_device: u64,
    src_array: usize,
    src_pitch: usize,
    dst_x: usize,
    dst_y: usize,
    dst_type: u32,
    dst_host: usize,
    dst_device: u64,
    dst_array: usize,
    dst_pitch: usize,
    width: usize,
    height: usize,
}

/// `CUmemorytype`.
const HOST: u32 = 1;
const DEVICE: u32 = 2;
const UNIFIED: u32 = 4;

/// One side of a copy.
enum Side {
    Host { address: usize, pinned: Option<InUse> },
    Device { block: Arc<Block>, offset: usize },
}

struct Plane {
    side: Side,
    pitch: usize,
}

/// Rows to be moved from one side to the other.
struct Transfer {
    from: Plane,
    to: Plane,
    width: usize,
    height: usize,
}

/// Whether the call returns before the bytes have moved.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Synchronous,
    Asynchronous,
}

struct Pending(PhantomData<()>);

impl Pending {
    fn new() -> Self {
        PENDING.add(1);
        Self(PhantomData)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        PENDING.subtract(1);
    }
}

impl Memcpy2d {
    fn transfer(&self) -> Result<Transfer> {
        let Self { width, height, .. } = *self;
        if self.src_array != 0 || self.dst_array != 0 {
            return Err(Status::NOT_SUPPORTED);
        }
        let start = |kind, host: usize, device: u64| match kind {
            HOST => Ok(host as u64),
            DEVICE | UNIFIED => Ok(device),
            _ => Err(Status::NOT_SUPPORTED),
        };
        let at = |base: u64, x: usize, y: usize, pitch: usize| {
            y.checked_mul(pitch).and_then(|rows| rows.checked_add(x)).map(|skip| base + skip as u64)
        };
        let from = start(self.src_type, self.src_host, self.src_device)?;
        let to = start(self.dst_type, self.dst_host, self.dst_device)?;
        let from = at(from, self.src_x, self.src_y, self.src_pitch).ok_or(Status::INVALID_VALUE)?;
        let to = at(to, self.dst_x, self.dst_y, self.dst_pitch).ok_or(Status::INVALID_VALUE)?;
        if self.src_type == DEVICE && !memory::is_device(from)
            || self.dst_type == DEVICE && !memory::is_device(to)
        {
            return Err(Status::INVALID_VALUE);
        }
        let from = Plane::new(from, self.src_pitch, width, height)?;
        let to = Plane::new(to, self.dst_pitch, width, height)?;
        Ok(Transfer { from, to, width, height })
    }
}

impl Plane {
    fn new(address: u64, pitch: usize, width: usize, height: usize) -> Result<Self> {
        // A pitch of 0 means tight rows.
        let pitch = if pitch == 0 { width } else { pitch };
        if height > 1 && pitch < width {
            return Err(Status::INVALID_VALUE);
        }
        let rows = height.saturating_sub(1).checked_mul(pitch);
        let len = rows.and_then(|rows| rows.checked_add(width)).ok_or(Status::INVALID_VALUE)?;
        let side = if memory::is_device(address) {
            let (block, offset) = memory::find(address, len)?;
            Side::Device { block, offset }
        } else {
            let address = usize::try_from(address).map_err(|_| Status::INVALID_VALUE)?;
            if address == 0 && len > 0 {
                return Err(Status::INVALID_VALUE);
            }
            Side::Host { address, pinned: host::use_pinned(address, len) }
        };
        Ok(Self { side, pitch })
    }

    fn use_on(&self, stream: &Arc<Stream>) -> Option<BlockUse> {
        match &self.side {
            Side::Device { block, .. } => Some(block.use_on(stream)),
            Side::Host { .. } => None,
        }
    }

    fn is_host(&self) -> bool {
        matches!(self.side, Side::Host { .. })
    }

    fn is_pageable(&self) -> bool {
        matches!(self.side, Side::Host { pinned: None, .. })
    }
}

impl Transfer {
    fn linear(from: u64, to: u64, bytes: usize) -> Result<Self> {
        let from = Plane::new(from, bytes, bytes, 1)?;
        let to = Plane::new(to, bytes, bytes, 1)?;
        Ok(Self { from, to, width: bytes, height: 1 })
    }

    /// Queues it; waits for it if the call is synchronous or the memory pageable.
    fn submit(self, call: &mut Call, stream: &Arc<Stream>, mode: Mode) -> Result {
        call.stream = stream.number;
        call.bytes = (self.width * self.height) as u64;
        let pageable = self.from.is_pageable() || self.to.is_pageable();
        if pageable && mode == Mode::Asynchronous {
            let bytes = call.bytes;
            report(Kind::Pageable, format_args!("{bytes} bytes to or from memory not pinned"));
        }
        let uses = [self.from.use_on(stream), self.to.use_on(stream)];
        let (troubles, pending) = (call.take_troubles(), Pending::new());
        let context = Arc::clone(&stream.context);
        let work = Work::Device(Box::new(move || {
            let _held = (uses, pending);
            let link = match (self.from.is_host(), self.to.is_host()) {
                (false, true) => Some(lock(&context.device.down)),
                (true, false) => Some(lock(&context.device.up)),
                _ => None,
            };
            let bytes = self.width * self.height;
            while mode == Mode::Asynchronous
                && config().copies_are_held()
                && context.device.health().is_ok()
            {
                context.device.pause(HELD_FOR);
            }
            troubles.befall(context.device, delay::of_copy(bytes))?;
            self.run();
            if link.is_some() {
                COPIED.add(bytes as u64);
            }
            Ok(())
        }));
        let point = stream.submit(Vec::new(), work);
        if pageable || mode == Mode::Synchronous {
            point.wait();
            stream.context.health()?;
        }
        Ok(())
    }

    fn run(&self) {
        match (&self.from.side, &self.to.side) {
            (Side::Device { block, offset }, Side::Host { address, .. }) => {
                let bytes = block.storage.read();
                for y in 0..self.height {
                    let row = &bytes[offset + y * self.from.pitch..][..self.width];
                    let to = (address + y * self.to.pitch) as *mut u8;
                    // SAFETY: the program passed this host range for writing, and keeps it until the
                    // copy's end, as the driver's documents require.
                    unsafe { to.copy_from_nonoverlapping(row.as_ptr(), self.width) }
                }
            }
            (Side::Host { address, .. }, Side::Device { block, offset }) => {
                let mut bytes = block.storage.write();
                for y in 0..self.height {
                    let row = &mut bytes[offset + y * self.to.pitch..][..self.width];
                    let from = (address + y * self.from.pitch) as *const u8;
                    // SAFETY: as above, to be read.
                    unsafe { from.copy_to_nonoverlapping(row.as_mut_ptr(), self.width) }
                }
            }
            (Side::Host { address: from, .. }, Side::Host { address: to, .. }) => {
                for y in 0..self.height {
                    let from = (from + y * self.from.pitch) as *const u8;
                    let to = (to + y * self.to.pitch) as *mut u8;
                    // SAFETY: as above, both ways; `copy` lets them overlap.
                    unsafe { from.copy_to(to, self.width) }
                }
            }
            (Side::Device { block: from, offset: at }, Side::Device { block: to, offset }) => {
                // Through a buffer: both may be the same block.
                for y in 0..self.height {
                    let row =
                        from.storage.read()[at + y * self.from.pitch..][..self.width].to_vec();
                    to.storage.write()[offset + y * self.to.pitch..][..self.width]
                        .copy_from_slice(&row);
                }
            }
        }
    }
}

/// A synchronous copy on the default stream.
fn synchronous(call: &mut Call, transfer: impl FnOnce() -> Result<Transfer>) -> Result {
    let stream = working_context()?.default_stream();
    transfer()?.submit(call, &stream, Mode::Synchronous)
}

fn asynchronous(
    call: &mut Call,
    stream: Handle,
    transfer: impl FnOnce() -> Result<Transfer>,
) -> Result {
    working_context()?;
    let stream = stream::find(stream)?;
    transfer()?.submit(call, &stream, Mode::Asynchronous)
}

export! {
    fn cuMemcpy2D_v2(copy: In<'_, Memcpy2d>) |call| {
        synchronous(call, || copy.get()?.transfer())
    }

    fn cuMemcpy2DUnaligned_v2(copy: In<'_, Memcpy2d>) |call| {
        synchronous(call, || copy.get()?.transfer())
    }

    fn cuMemcpy2DAsync_v2(copy: In<'_, Memcpy2d>, stream: Handle) |call| {
        asynchronous(call, stream, || copy.get()?.transfer())
    }

    fn cuMemcpy(to: u64, from: u64, bytes: usize) |call| {
        synchronous(call, || Transfer::linear(from, to, bytes))
    }

    fn cuMemcpyAsync(to: u64, from: u64, bytes: usize, stream: Handle) |call| {
        asynchronous(call, stream, || Transfer::linear(from, to, bytes))
    }

    fn cuMemcpyHtoD_v2(to: u64, from: u64, bytes: usize) |call| {
        synchronous(call, || Transfer::linear(from, to, bytes))
    }

    fn cuMemcpyHtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) |call| {
        asynchronous(call, stream, || Transfer::linear(from, to, bytes))
    }

    fn cuMemcpyDtoH_v2(to: u64, from: u64, bytes: usize) |call| {
        synchronous(call, || Transfer::linear(from, to, bytes))
    }

    fn cuMemcpyDtoHAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) |call| {
        asynchronous(call, stream, || Transfer::linear(from, to, bytes))
    }

    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) |call| {
        synchronous(call, || Transfer::linear(from, to, bytes))
    }

    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) |call| {
        asynchronous(call, stream, || Transfer::linear(from, to, bytes))
    }

    fn cuMemsetD8_v2(to: u64, value: u8, bytes: usize) |call| {
        let stream = working_context()?.default_stream();
        set_bytes(call, &stream, to, value, bytes)?;
        stream.drain();
        stream.context.health()
    }

    fn cuMemsetD8Async(to: u64, value: u8, bytes: usize, stream: Handle) |call| {
        working_context()?;
        set_bytes(call, &stream::find(stream)?, to, value, bytes)
    }
}

fn set_bytes(call: &mut Call, stream: &Arc<Stream>, to: u64, value: u8, bytes: usize) -> Result {
    (call.stream, call.bytes) = (stream.number, bytes as u64);
    let (block, offset) = memory::find(to, bytes)?;
    let held = block.use_on(stream);
    let (device, troubles) = (stream.context.device, call.take_troubles());
    let work = Work::Device(Box::new(move || {
        let _held = held;
        troubles.befall(device, Duration::ZERO)?;
        block.storage.write()[offset..][..bytes].fill(value);
        Ok(())
    }));
    stream.submit(Vec::new(), work);
    Ok(())
}
