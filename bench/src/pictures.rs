//! Pictures in a pool like a decoder's.

use vas_frame::Geometry;
use vas_frame::nv12::{Picture, Plane};

const LINE: usize = 64;

/// Bytes aligned to a cache line.
#[derive(Debug)]
pub struct Memory {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Memory {
    /// Memory filled with noise.
    #[must_use]
    pub fn noise(seed: u32, len: usize) -> Self {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as u8
        };
        let bytes: Vec<u8> = (0..len + LINE).map(|_| next()).collect();
        let start = bytes.as_ptr().align_offset(LINE);
        Self { bytes, start, len }
    }

    /// The bytes.
    #[must_use]
    pub fn get(&self) -> &[u8] {
        &self.bytes[self.start..][..self.len]
    }

    /// The bytes, to be written.
    pub fn get_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..self.len]
    }
}

/// Planar 4:2:0 pictures, used in turn.
#[derive(Debug)]
pub struct Pictures {
    geometry: Geometry,
    pool: Vec<Memory>,
    model: Memory,
    last: usize,
}

impl Pictures {
    /// A pool of `count` pictures with the strides of the slots, as FFmpeg's usually have.
    #[must_use]
    pub fn new(geometry: Geometry, count: usize) -> Self {
        let bytes = geometry.picture_bytes() as usize;
        let pool = (0..count).map(|i| Memory::noise(i as u32, bytes)).collect();
        Self { geometry, pool, model: Memory::noise(!0, bytes), last: 0 }
    }

    /// Advances to the next picture without writing it: with a large pool, one that is in no cache.
    pub fn turn(&mut self) {
        self.last = (self.last + 1) % self.pool.len();
    }

    /// Advances to the next picture and writes it, as a decoder does that predicts from another
    /// one.
    pub fn decode_next(&mut self) {
        self.turn();
        self.pool[self.last].get_mut().copy_from_slice(self.model.get());
    }

    /// The bytes of the picture, plane after plane: as many as in its slot.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.pool[self.last].get()
    }

    /// The picture.
    #[must_use]
    pub fn picture(&self) -> Picture<'_> {
        let stride = self.geometry.stride() as usize;
        let (y, chroma) = self.bytes().split_at(self.geometry.uv_offset() as usize);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let chroma = |data| Plane { data, stride: stride / 2 };
        Picture::Yuv420p { y: Plane { data: y, stride }, u: chroma(u), v: chroma(v) }
    }
}
