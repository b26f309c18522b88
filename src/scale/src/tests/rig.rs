//! Random pictures in memory of random layout.

use crate::{Plane, Size, Source};

/// Numbers without a short period.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    /// A number from `low` to `high`.
    pub(super) fn within(&mut self, low: u32, high: u32) -> u32 {
        low + (self.next() % u64::from(high - low + 1)) as u32
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.within(0, all.len() as u32 - 1) as usize]
    }
}

/// How a picture lies in memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layout {
    Nv12,
    P016,
    Yuv420p,
    Yuv420p10,
}

pub(super) const LAYOUTS: [Layout; 4] =
    [Layout::Nv12, Layout::P016, Layout::Yuv420p, Layout::Yuv420p10];

/// The planes of a picture, each with its stride.
pub(super) struct Memory {
    layout: Layout,
    planes: Vec<(Vec<u8>, usize, usize)>,
}

impl Memory {
    /// A random picture, its planes at random offsets and with random padding. No byte follows the last sample, so
    /// that Miri and sanitizers notice what is read there.
    pub(super) fn random(noise: &mut Noise, layout: Layout, size: Size) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        let (half, rows) = (width.div_ceil(2), height.div_ceil(2));
        let shapes: &[(usize, usize)] = match layout {
            Layout::Nv12 => &[(width, height), (2 * half, rows)],
            Layout::P016 => &[(2 * width, height), (4 * half, rows)],
            Layout::Yuv420p => &[(width, height), (half, rows), (half, rows)],
            Layout::Yuv420p10 => &[(2 * width, height), (2 * half, rows), (2 * half, rows)],
        };
        // Extremes, where rounding and saturation show, or noise.
        let style = noise.within(0, 3);
        let planes = shapes.iter().map(|(row_bytes, rows)| {
            let offset = noise.within(0, 3) as usize;
            let stride = row_bytes + noise.within(0, 70) as usize;
            let len = offset + stride * (rows - 1) + row_bytes;
            let byte = |noise: &mut Noise| match style {
                0 => 0xff,
                1 => noise.one_of(&[0, 0xff]),
                _ => noise.next() as u8,
            };
            let mut data: Vec<u8> = (0..len).map(|_| byte(noise)).collect();
            if matches!(layout, Layout::Yuv420p10) && style != 2 {
                // Within 10 bits, where the rows begin at even offsets.
                data[offset..].iter_mut().skip(1).step_by(2).for_each(|byte| *byte &= 3);
            }
            (data, offset, stride)
        });
        let planes = planes.collect();
        Self { layout, planes }
    }

    pub(super) fn source(&self) -> Source<'_> {
        let plane = |at: usize| {
            let (data, offset, stride) = &self.planes[at];
            Plane::new(&data[*offset..], *stride)
        };
        match self.layout {
            Layout::Nv12 => Source::Nv12 { y: plane(0), uv: plane(1) },
            Layout::P016 => Source::P016 { y: plane(0), uv: plane(1) },
            Layout::Yuv420p => Source::Yuv420p { y: plane(0), u: plane(1), v: plane(2) },
            Layout::Yuv420p10 => Source::Yuv420p10 { y: plane(0), u: plane(1), v: plane(2) },
        }
    }
}
