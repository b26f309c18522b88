//! A picture in private memory.

use crate::geometry::Geometry;

/// A tight NV12 picture in private memory: luma rows, then rows of interleaved chroma, no padding.
///
/// When reused, it allocates only for a picture larger than any before.
#[derive(Clone, Debug, Default)]
pub struct Nv12Image {
    geometry: Option<Geometry>,
    data: Vec<u8>,
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
        if self.geometry.is_some() { &self.data } else { &[] }
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
        if self.data.len() != geometry.tight_bytes() {
            self.data.resize(geometry.tight_bytes(), 0);
        }
        self.geometry = Some(*geometry);
        let luma = self.luma_bytes();
        self.data.split_at_mut(luma)
    }
}
