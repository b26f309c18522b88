//! The simulated decoder's output for a bitstream, shared by the device and tests.
//!
//! A picture is noise that depends on every byte of its slices and on the device's seed: a copy that is one
//! row, one column or one picture off differs almost everywhere. It shows nothing of the video.

use std::sync::LazyLock;

/// Bytes of noise in which rows start.
const NOISE: usize = 1 << 16;
/// The longest row.
const MAX_ROW: usize = 1 << 15;

static TABLE: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let words = 0..((NOISE + MAX_ROW) / 8) as u64;
    words.flat_map(|word| mix(word).to_le_bytes()).collect()
});

/// A bijective scrambling of 64 bits (splitmix64's last steps).
pub fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A picture's content: an FNV-1a hash over the bitstream that the decoder got for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content(u64);

/// The planes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Brightness.
    Luma,
    /// Cb and Cr, interleaved.
    Chroma,
}

impl Content {
    /// The content before any decoding, on a device with this seed.
    pub fn new(seed: u64) -> Self {
        Self(0xCBF2_9CE4_8422_2325 ^ mix(seed))
    }

    /// The content after more of the bitstream.
    #[must_use]
    pub fn then(self, bitstream: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
        Self(bitstream.iter().fold(self.0, step))
    }

    /// The content for a picture of H.264 or H.265, for which NVDEC gets each slice's NAL unit after a
    /// start code.
    pub fn of_slices<'a>(seed: u64, slices: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let next = |content: Self, slice: &[u8]| content.then(&[0, 0, 1]).then(slice);
        slices.into_iter().fold(Self::new(seed), next)
    }

    /// Fills one row of a plane with samples of `depth` bits: a byte each up to 8, else 16 bits with the
    /// sample in the high ones.
    ///
    /// # Panics
    /// For a row longer than 32 KiB.
    pub fn fill_row(self, plane: Plane, y: usize, depth: u32, row: &mut [u8]) {
        let place = ((y as u64) << 1) | u64::from(plane == Plane::Chroma);
        let start = (mix(self.0 ^ mix(place)) as usize % NOISE) & !1;
        row.copy_from_slice(&TABLE[start..][..row.len()]);
        if depth > 8 {
            let [low, high] = (u16::MAX << (16 - depth)).to_le_bytes();
            for sample in row.chunks_exact_mut(2) {
                sample[0] &= low;
                sample[1] &= high;
            }
        }
    }

    /// The visible part of a picture, rows tight: NV12, or P016 for a depth above 8.
    pub fn picture(self, width: usize, height: usize, depth: u32) -> Vec<u8> {
        let bytes = if depth > 8 { 2 } else { 1 };
        let (luma, chroma) = (width * bytes, width.next_multiple_of(2) * bytes);
        let chroma_rows = height.div_ceil(2);
        let mut picture = vec![0; luma * height + chroma * chroma_rows];
        let (y_plane, uv_plane) = picture.split_at_mut(luma * height);
        for (y, row) in y_plane.chunks_exact_mut(luma).enumerate() {
            self.fill_row(Plane::Luma, y, depth, row);
        }
        for (y, row) in uv_plane.chunks_exact_mut(chroma).enumerate() {
            self.fill_row(Plane::Chroma, y, depth, row);
        }
        picture
    }
}

/// Fills memory that holds no picture with noise.
pub fn fill_noise(seed: u64, bytes: &mut [u8]) {
    for (i, part) in bytes.chunks_mut(MAX_ROW).enumerate() {
        let start = mix(seed ^ i as u64) as usize % NOISE;
        part.copy_from_slice(&TABLE[start..][..part.len()]);
    }
}

/// The pitch for rows of `width` bytes: a multiple of 256 derived from the seed.
pub fn pitch(seed: u64, width: usize) -> usize {
    width.next_multiple_of(256) + 256 * (mix(seed ^ mix(width as u64)) % 4) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_seed_matter() {
        let one = Content::of_slices(1, [&b"abc"[..]]);
        assert_ne!(one, Content::of_slices(1, [&b"abd"[..]]));
        assert_ne!(one, Content::of_slices(2, [&b"abc"[..]]));
        assert_eq!(one, Content::new(1).then(&[0, 0, 1]).then(b"a").then(b"bc"));
    }

    #[test]
    fn rows_differ_from_their_neighbours() {
        let picture = Content::new(1).picture(64, 64, 8);
        let rows: Vec<&[u8]> = picture.chunks_exact(64).collect();
        assert_eq!(rows.len(), 96);
        for (i, row) in rows.iter().enumerate() {
            assert!(rows[..i].iter().all(|other| other != row), "row {i}");
        }
    }

    #[test]
    fn ten_bits_stand_high() {
        let picture = Content::new(1).picture(64, 64, 10);
        let samples = picture.chunks_exact(2).map(|s| u16::from_le_bytes([s[0], s[1]]));
        assert!(samples.clone().all(|sample| sample & 0x3F == 0));
        assert!(samples.clone().any(|sample| sample & 0x40 != 0));
        assert!(samples.clone().any(|sample| sample & 0x8000 != 0));
    }
}
