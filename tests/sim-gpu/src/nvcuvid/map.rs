//! Mapping of decoded surfaces: it waits for the decoding, then post-processes on a stream.

use std::ffi::c_int;
use std::sync::Arc;
use std::time::Duration;

use super::abi::ProcParams;
use super::decoder::{DECODERS, Decoder, MAPPED, Shape};
use crate::driver::memory::{self, Block, Storage, Surface};
use crate::driver::stream::{self, Stream, Work};
use crate::picture::{Content, Plane};
use crate::sim::abi::{Handle, In, Out};
use crate::sim::lock;
use crate::sim::misuse::{Kind, report};
use crate::sim::site::{Troubles, export, working_context};
use crate::sim::status::{Result, Status};

impl Decoder {
    /// Waits for a surface's picture and allocates output memory for it.
    fn take_output(&self, index: c_int) -> Result<(Content, Arc<Storage>)> {
        let index = usize::try_from(index).map_err(|_| Status::INVALID_VALUE)?;
        let mut state = lock(&self.state);
        if state.mapped >= self.shape.output_surfaces {
            return Err(Status::MAP_FAILED);
        }
        let content = loop {
            let surface = state.surfaces.get(index).ok_or(Status::INVALID_VALUE)?;
            if surface.pending == 0 {
                break surface.content.ok_or(Status::INVALID_VALUE)?;
            }
            state = self.wait(state);
        };
        self.context.health()?;
        state.mapped += 1;
        MAPPED.add(1);
        let spare = state.spare.pop();
        Ok((content, spare.unwrap_or_else(|| Storage::noise(self.shape.bytes()))))
    }

    fn map(&self, index: c_int, stream: &Arc<Stream>, troubles: Troubles) -> Result<Arc<Block>> {
        let (content, storage) = self.take_output(index)?;
        let (shape, target) = (self.shape, Arc::clone(&storage));
        let device = self.context.device;
        let ready = stream.submit(
            Vec::new(),
            Work::Device(Box::new(move || {
                troubles.befall(device, Duration::ZERO)?;
                shape.render(content, &mut target.write());
                Ok(())
            })),
        );
        let surface = Surface { ready, decoder: self.handle.0 };
        Ok(memory::publish(storage, Some(surface), None))
    }

    fn unmap(&self, address: u64) -> Result {
        let block = memory::find(address, 0)?.0;
        let surface = block.surface().filter(|s| s.decoder == self.handle.0);
        let surface = surface.filter(|_| block.address == address).ok_or(Status::INVALID_VALUE)?;
        // Work of the output stream itself comes before the memory's next picture.
        if block.is_used_beside(surface.ready.stream.number) {
            report(
                Kind::UnmapInUse,
                format_args!("surface {address:#x}, copies of it are pending"),
            );
        }
        memory::remove(address)?;
        MAPPED.subtract(1);
        let mut state = lock(&self.state);
        state.mapped -= 1;
        state.spare.push(Arc::clone(&block.storage));
        Ok(())
    }
}

impl Shape {
    /// Draws the whole coded picture; the padding of each row keeps its noise.
    fn render(&self, content: Content, bytes: &mut [u8]) {
        let (luma, chroma) = bytes.split_at_mut(self.pitch * self.rows);
        for (plane, rows) in [(Plane::Luma, luma), (Plane::Chroma, chroma)] {
            for (y, row) in rows.chunks_exact_mut(self.pitch).enumerate() {
                content.fill_row(plane, y, self.depth, &mut row[..self.row]);
            }
        }
    }
}

export! {
    fn cuvidMapVideoFrame64(
        decoder: Handle, index: c_int, address: Out<u64>, pitch: Out<u32>, params: In<'_, ProcParams>,
    ) |call| {
        working_context()?;
        let decoder = DECODERS.get(decoder)?;
        let stream = stream::find(params.get()?.output_stream)?;
        (call.stream, call.bytes) = (stream.number, decoder.shape.bytes() as u64);
        let block = decoder.map(index, &stream, call.take_troubles())?;
        pitch.set(u32::try_from(decoder.shape.pitch).map_err(|_| Status::MAP_FAILED)?)?;
        address.set(block.address)
    }

    fn cuvidUnmapVideoFrame64(decoder: Handle, address: u64) |_call| {
        let health = working_context().map(|_| ());
        DECODERS.get(decoder)?.unmap(address)?;
        health
    }
}
