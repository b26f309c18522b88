//! What a decoder on a GPU takes of its memory.

use std::fmt;

/// The surfaces of a decoder on a GPU, and the memory that they take at least.
///
/// Displays like `2 x 12 surfaces of 1920x1088, 75202560 bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SurfacePrice {
    /// How many, each twice: to decode to, and to hand out.
    pub surfaces: u32,
    /// Width and height of each in pixels.
    pub size: (u32, u32),
    /// All of them in bytes, without the padding that the driver may add.
    pub bytes: u64,
}

impl SurfacePrice {
    /// The price of surfaces with 8 bits in 4:2:0.
    pub(super) fn of(surfaces: u32, size: (u32, u32)) -> Self {
        let pixels = u64::from(size.0) * u64::from(size.1);
        Self { surfaces, size, bytes: 2 * u64::from(surfaces) * pixels * 3 / 2 }
    }

    /// Whether so many free bytes may be enough. Fewer are certainly not.
    pub(super) fn fits(&self, free: usize) -> bool {
        self.bytes <= free as u64
    }
}

impl fmt::Display for SurfacePrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { surfaces, size: (width, height), bytes } = self;
        write!(f, "2 x {surfaces} surfaces of {width}x{height}, {bytes} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_samples_take_and_fits_to_the_byte() {
        let price = SurfacePrice::of(12, (1920, 1088));
        assert_eq!(price.bytes, 24 * 1920 * 1088 * 3 / 2);
        assert!(price.fits(75_202_560) && !price.fits(75_202_559));
        assert_eq!(price.to_string(), "2 x 12 surfaces of 1920x1088, 75202560 bytes");
    }
}
