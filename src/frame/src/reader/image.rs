//! A picture in private memory.

use crate::geometry::Geometry;
use crate::huge_pages::Buffer;

/// A tight NV12 picture in private memory: luma rows, then rows of interleaved chroma, no padding.
///
/// When reused, it allocates only for a picture larger than any before. From 2 MiB on it requests huge pages, which make
/// copies into it faster.
#[derive(Debug, Default)]
pub struct Nv12Image {
    geometry: Option<Geometry>,
    /// As long as the largest picture so far, or longer.
    buffer: Buffer,
}

impl Clone for Nv12Image {
    fn clone(&self) -> Self {
        let data = self.data();
        let mut buffer = Buffer::new(data.len());
        buffer.as_mut_slice()[..data.len()].copy_from_slice(data);
        Self { geometry: self.geometry, buffer }
    }
}

impl Nv12Image {
    /// Width in pixels; 0 when empty.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.geometry.map_or(0, |g| g.width())
    }

    /// Height in pixels; 0 when empty.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.geometry.map_or(0, |g| g.height())
    }

    /// Size and color; `None` when empty.
    #[must_use]
    pub fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }

    /// All bytes, in the order in which FFmpeg's `framemd5` hashes them.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let len = self.geometry.map_or(0, |g| g.tight_bytes());
        &self.buffer.as_slice()[..len]
    }

    /// All bytes, to be changed in place.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let len = self.geometry.map_or(0, |g| g.tight_bytes());
        &mut self.buffer.as_mut_slice()[..len]
    }

    /// Luma: `width * height` bytes.
    #[must_use]
    pub fn luma(&self) -> &[u8] {
        self.data().get(..self.luma_bytes()).unwrap_or_default()
    }

    /// Chroma: U and V interleaved, in rows of the width rounded up to even.
    #[must_use]
    pub fn chroma(&self) -> &[u8] {
        self.data().get(self.luma_bytes()..).unwrap_or_default()
    }

    fn luma_bytes(&self) -> usize {
        self.width() as usize * self.height() as usize
    }

    pub(super) fn clear(&mut self) {
        self.geometry = None;
    }

    /// Allocates what a picture needs and returns its planes to be filled.
    pub(super) fn reset(&mut self, geometry: &Geometry) -> (&mut [u8], &mut [u8]) {
        let len = geometry.tight_bytes();
        if self.buffer.as_slice().len() < len {
            self.buffer = Buffer::new(len);
        }
        self.geometry = Some(*geometry);
        let luma = self.luma_bytes();
        self.buffer.as_mut_slice()[..len].split_at_mut(luma)
    }
}
