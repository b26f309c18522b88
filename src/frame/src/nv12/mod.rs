//! Copies a decoded picture into an NV12 slot in one pass.
//!
//! Luma rows are copied, chroma is interleaved, and 10-bit samples become 8-bit by one rule,
//! `min(255, (x + 2) >> 2)`, which every engine follows. The sample range is never changed.
//!
//! Rows of a slot are whole cache lines (the stride is a multiple of 64), so each row is written in
//! blocks of 64 bytes, its padding included: no partial line is ever streamed.

mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::geometry::Geometry;

/// Bytes written at a time: one cache line.
#[cfg(any(target_arch = "x86_64", test))]
const BLOCK: usize = 64;

/// Pictures of at least this size (160x120 is larger) are written past the cache. By the time a slot is reused
/// no cache holds it, and ordinary stores would read it from memory first (`bench/results`, paced).
const STREAM_FROM_BYTES: u64 = 16 << 10;

/// One plane of a picture: rows of samples, `stride` bytes apart.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The rows; the last one may end with its last sample.
    pub data: &'a [u8],
    /// Bytes between the starts of two rows.
    pub stride: usize,
}

impl<'a> Plane<'a> {
    fn holds(&self, rows: usize, row_bytes: usize) -> bool {
        self.stride >= row_bytes
            && self.data.len() >= self.stride.saturating_mul(rows - 1).saturating_add(row_bytes)
    }

    fn row(&self, row: usize, bytes: usize) -> &'a [u8] {
        &self.data[row * self.stride..][..bytes]
    }
}

/// A decoded 4:2:0 picture in memory. Chroma planes of an odd-sized picture are rounded up.
#[derive(Clone, Copy, Debug)]
pub enum Picture<'a> {
    /// Luma, and U and V interleaved.
    Nv12 {
        /// Luma.
        y: Plane<'a>,
        /// U and V interleaved.
        uv: Plane<'a>,
    },
    /// Three planes of 8-bit samples.
    Yuv420p {
        /// Luma.
        y: Plane<'a>,
        /// Blue difference.
        u: Plane<'a>,
        /// Red difference.
        v: Plane<'a>,
    },
    /// Three planes of 10-bit samples in the low bits of little-endian 16-bit words.
    Yuv420p10 {
        /// Luma.
        y: Plane<'a>,
        /// Blue difference.
        u: Plane<'a>,
        /// Red difference.
        v: Plane<'a>,
    },
}

impl Picture<'_> {
    /// Whether every plane is large enough for a picture of this size.
    #[must_use]
    pub fn fits(&self, geometry: &Geometry) -> bool {
        let (width, height) = (geometry.width() as usize, geometry.height() as usize);
        let (half, rows) = (width.div_ceil(2), geometry.chroma_rows() as usize);
        match self {
            Self::Nv12 { y, uv } => y.holds(height, width) && uv.holds(rows, 2 * half),
            Self::Yuv420p { y, u, v } => {
                y.holds(height, width) && u.holds(rows, half) && v.holds(rows, half)
            }
            Self::Yuv420p10 { y, u, v } => {
                y.holds(height, 2 * width) && u.holds(rows, 2 * half) && v.holds(rows, 2 * half)
            }
        }
    }
}

/// How a slot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StoreKind {
    /// Chosen by the picture's size.
    #[default]
    Auto,
    /// Ordinary stores, through the cache.
    Cached,
    /// Non-temporal stores, past the cache; ordinary ones if the processor has none.
    Streaming,
}

impl StoreKind {
    fn streams(self, geometry: &Geometry) -> bool {
        match self {
            Self::Auto => geometry.picture_bytes() >= STREAM_FROM_BYTES,
            Self::Cached => false,
            Self::Streaming => true,
        }
    }
}

/// Row operations for one kind of processor. A destination row is a whole number of blocks and at
/// least as long as its samples; the rest of the last block is zeroed or left as it is.
trait Rows {
    fn copy(&self, from: &[u8], to: &mut [u8]);
    fn interleave(&self, u: &[u8], v: &[u8], to: &mut [u8]);
    fn narrow(&self, from: &[u8], to: &mut [u8]);
    fn narrow_interleave(&self, u: &[u8], v: &[u8], to: &mut [u8]);
}

/// Writes a picture into a slot's planes.
pub(crate) fn write(
    picture: &Picture<'_>,
    geometry: &Geometry,
    luma: &mut [u8],
    chroma: &mut [u8],
    store: StoreKind,
) {
    let stream = store.streams(geometry);
    #[cfg(target_arch = "x86_64")]
    if let Some(rows) = x86::Avx2::detect() {
        return if stream && x86::is_line_aligned(luma) && x86::is_line_aligned(chroma) {
            write_rows(&rows.streaming(), picture, geometry, luma, chroma)
        } else {
            write_rows(&rows, picture, geometry, luma, chroma)
        };
    }
    let _ = stream;
    write_rows(&scalar::Scalar, picture, geometry, luma, chroma);
}

fn write_rows(
    rows: &impl Rows,
    picture: &Picture<'_>,
    geometry: &Geometry,
    luma: &mut [u8],
    chroma: &mut [u8],
) {
    let stride = geometry.stride() as usize;
    let (width, pairs) = (geometry.width() as usize, geometry.chroma_row_bytes() as usize);
    let luma = Target { data: luma, rows: geometry.height() as usize, row_bytes: width, stride };
    let chroma =
        Target { data: chroma, rows: geometry.chroma_rows() as usize, row_bytes: pairs, stride };
    match picture {
        Picture::Nv12 { y, uv } => {
            luma.fill([y], width, |[y], to| rows.copy(y, to));
            chroma.fill([uv], pairs, |[uv], to| rows.copy(uv, to));
        }
        Picture::Yuv420p { y, u, v } => {
            luma.fill([y], width, |[y], to| rows.copy(y, to));
            chroma.fill([u, v], pairs / 2, |[u, v], to| rows.interleave(u, v, to));
        }
        Picture::Yuv420p10 { y, u, v } => {
            luma.fill([y], 2 * width, |[y], to| rows.narrow(y, to));
            chroma.fill([u, v], pairs, |[u, v], to| rows.narrow_interleave(u, v, to));
        }
    }
}

/// A plane of a slot: rows of `row_bytes` each, `stride` bytes apart.
struct Target<'a> {
    data: &'a mut [u8],
    rows: usize,
    row_bytes: usize,
    stride: usize,
}

impl Target<'_> {
    /// Fills the plane with the operation `row`, from planes with rows of `from_bytes`.
    fn fill<const N: usize>(
        self,
        from: [&Plane<'_>; N],
        from_bytes: usize,
        row: impl Fn([&[u8]; N], &mut [u8]),
    ) {
        let Self { data, rows, row_bytes, stride } = self;
        // Planes without padding are one long row, which a kernel may write in any order.
        let dense = row_bytes == stride && from.iter().all(|plane| plane.stride == from_bytes);
        let (rows, stride, from_bytes) =
            if dense { (1, rows * stride, rows * from_bytes) } else { (rows, stride, from_bytes) };
        for (i, to) in data.chunks_exact_mut(stride).take(rows).enumerate() {
            row(from.map(|plane| plane.row(i, from_bytes)), to);
        }
    }
}

/// The 10-bit rule for one sample.
#[inline]
#[must_use]
pub fn narrow_sample(sample: u16) -> u8 {
    ((u32::from(sample) + 2) >> 2).min(255) as u8
}

#[cfg(test)]
mod tests;
