//! The parameter of the CUDA kernels (`cuda/nv12.cu`) for a plan. Nothing here calls a driver.

use crate::plan::Plan;
use crate::window::Spans;

/// A kernel of `cuda/nv12.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Words (P010, P012, P016) to bytes, not scaled.
    P016ToNv12,
    /// NV12, scaled.
    Nv12Scale,
    /// Words to bytes, scaled, in one pass.
    P016Scale,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::P016ToNv12, Self::Nv12Scale, Self::P016Scale];

    /// The one for this plan and a source of 16-bit words, or of bytes.
    #[must_use]
    pub fn of(plan: &Plan, words: bool) -> Self {
        match (words, plan.is_identity()) {
            (false, _) => Self::Nv12Scale,
            (true, true) => Self::P016ToNv12,
            (true, false) => Self::P016Scale,
        }
    }

    /// Its name in the PTX.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P016ToNv12 => "vas_p016_to_nv12",
            Self::Nv12Scale => "vas_nv12_scale",
            Self::P016Scale => "vas_p016_scale",
        }
    }
}

/// Bytes between the rows of each plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pitches {
    /// Of the source's luma.
    pub source_luma: u32,
    /// Of the source's chroma.
    pub source_chroma: u32,
    /// Of the output's luma.
    pub output_luma: u32,
    /// Of the output's chroma.
    pub output_chroma: u32,
}

/// Device addresses of the planes' first samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Addresses {
    /// The source's luma, behind any crop.
    pub source_luma: u64,
    /// The source's chroma, behind any crop.
    pub source_chroma: u64,
    /// The output's luma.
    pub output_luma: u64,
    /// The output's chroma.
    pub output_chroma: u64,
}

/// `VasLaunch` of `cuda/nv12.cu`, which documents the fields: the only parameter of each kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Launch {
    /// The only fields that differ between the frames of an epoch.
    pub addresses: Addresses,
    source_luma_pitch: u32,
    source_chroma_pitch: u32,
    output_luma_pitch: u32,
    output_chroma_pitch: u32,
    width: u32,
    height: u32,
    black: u32,
    reserved: u32,
    columns: Axis,
    rows: Axis,
}

/// `VasAxis` of `cuda/nv12.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Axis {
    source: u32,
    content: u32,
    begin: u32,
    shift: i32,
    multiplier: u32,
    multiplier_shift: u32,
}

// As `cuda/nv12.cu` asserts.
const _: () = assert!(size_of::<Axis>() == 24 && size_of::<Launch>() == 112);

/// Threads of a block: columns and rows. Not measured; the width keeps luma and chroma in different warps.
const BLOCK: [u32; 2] = [32, 8];

impl Launch {
    /// The parameter for pictures of this plan, without addresses.
    #[must_use]
    pub fn new(plan: &Plan, pitches: Pitches) -> Self {
        let [columns, rows] = Spans::luma(plan);
        let [chroma_columns, chroma_rows] = Spans::chroma(plan);
        let (output, content) = (plan.output(), plan.content());
        Self {
            addresses: Addresses::default(),
            source_luma_pitch: pitches.source_luma,
            source_chroma_pitch: pitches.source_chroma,
            output_luma_pitch: pitches.output_luma,
            output_chroma_pitch: pitches.output_chroma,
            width: output.width,
            height: output.height,
            black: if plan.color().full_range { 0 } else { 16 },
            reserved: 0,
            columns: Axis::new(columns, chroma_columns, content.x),
            rows: Axis::new(rows, chroma_rows, content.y),
        }
    }

    /// Threads of a block, and blocks of the grid: columns and rows of each.
    #[must_use]
    pub fn shape(&self) -> ([u32; 2], [u32; 2]) {
        let rows = self.height + self.height.div_ceil(2);
        (BLOCK, [self.width.div_ceil(BLOCK[0]), rows.div_ceil(BLOCK[1])])
    }

    /// The structure as it lies in memory.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; size_of::<Self>()] {
        let Addresses { source_luma, source_chroma, output_luma, output_chroma } = self.addresses;
        let addresses = [source_luma, source_chroma, output_luma, output_chroma];
        let words = [
            self.source_luma_pitch,
            self.source_chroma_pitch,
            self.output_luma_pitch,
            self.output_chroma_pitch,
            self.width,
            self.height,
            self.black,
            self.reserved,
        ];
        let axes = [self.columns, self.rows].into_iter().flat_map(Axis::words);
        let words = words.into_iter().chain(axes).flat_map(u32::to_ne_bytes);
        let mut bytes = [0; size_of::<Self>()];
        let all = addresses.into_iter().flat_map(u64::to_ne_bytes).chain(words);
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        bytes
    }
}

impl Axis {
    fn new(luma: Spans, chroma: Spans, begin: u32) -> Self {
        let (multiplier, multiplier_shift) = divider(luma.source);
        Self {
            source: luma.source,
            content: luma.content,
            begin,
            shift: chroma.shift,
            multiplier,
            multiplier_shift,
        }
    }

    fn words(self) -> [u32; 6] {
        let shift = self.shift.cast_unsigned();
        [self.source, self.content, self.begin, shift, self.multiplier, self.multiplier_shift]
    }
}

/// What divides a number below 2^31 by `4 * n`: `(x * multiplier >> 32) >> shift`.
#[must_use]
pub fn divider(n: u32) -> (u32, u32) {
    let divisor = 4 * u64::from(n);
    let power = divisor.next_power_of_two().trailing_zeros();
    // Below 2^32, since 2^power is below twice the divisor.
    let multiplier = (1_u64 << (31 + power)) / divisor + 1;
    (multiplier as u32, power - 1)
}
