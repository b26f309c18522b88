//! Pixel formats, and how a picture lies in memory.

use vas_sim_common::picture::{mix, pitch};

use crate::libva::abi::{self, ImageFormat};
use crate::sim::config::config;

/// The formats of surfaces and images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Nv12,
    P010,
}

impl Format {
    pub(crate) const ALL: [Self; 2] = [Self::Nv12, Self::P010];

    pub(crate) fn from_fourcc(fourcc: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.fourcc() == fourcc)
    }

    pub(crate) fn from_rt_format(rt_format: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.rt_format() == rt_format)
    }

    pub(crate) fn fourcc(self) -> u32 {
        match self {
            Self::Nv12 => abi::NV12,
            Self::P010 => abi::P010,
        }
    }

    pub(crate) fn rt_format(self) -> u32 {
        match self {
            Self::Nv12 => abi::YUV420,
            Self::P010 => abi::YUV420_10,
        }
    }

    pub(crate) fn depth(self) -> u32 {
        match self {
            Self::Nv12 => 8,
            Self::P010 => 10,
        }
    }

    pub(crate) fn image_format(self) -> ImageFormat {
        ImageFormat::new(self.fourcc(), 12 * self.sample_bytes() as u32)
    }

    pub(crate) fn sample_bytes(self) -> usize {
        if self.depth() > 8 { 2 } else { 1 }
    }
}

/// Whose memory it is: a surface's and an image's layouts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Surface,
    Image,
}

/// The layout of a picture: derived from the seed, the size, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) pitch: usize,
    pub(crate) luma: usize,
    pub(crate) chroma: usize,
    pub(crate) bytes: usize,
}

impl Layout {
    pub(crate) fn new(holder: Holder, format: Format, width: usize, height: usize) -> Self {
        let seed = mix(config().seed ^ mix(holder as u64));
        let draw =
            |salt: u64, choices: u64| (mix(seed ^ mix(salt ^ height as u64)) % choices) as usize;
        let pitch = pitch(seed, width.next_multiple_of(2) * format.sample_bytes());
        let rows = height.next_multiple_of(16) + 16 * draw(1 << 32, 3);
        let luma = 64 * draw(2 << 32, 4);
        let chroma = luma + pitch * rows + 64 * draw(3 << 32, 5);
        let bytes = (chroma + pitch * rows / 2).next_multiple_of(4096);
        Self { pitch, luma, chroma, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_do_not_overlap() {
        for (width, height) in [(1, 1), (1919, 1079), (1920, 1088), (4096, 2304)] {
            for format in Format::ALL {
                for holder in [Holder::Surface, Holder::Image] {
                    let layout = Layout::new(holder, format, width, height);
                    assert!(layout.pitch >= width * format.sample_bytes());
                    assert!(layout.chroma >= layout.luma + layout.pitch * height);
                    assert!(layout.bytes >= layout.chroma + layout.pitch * height.div_ceil(2));
                }
            }
        }
    }
}
