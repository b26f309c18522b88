//! Scales pictures of one size, row by row of the output.

use std::fmt;
use std::ops::Range;

use crate::emit::{Emitter, LINE, StoreKind};
use crate::kernels::{Kernels, Kind, RowsOf, Sums};
use crate::plan::{Plan, Size};
use crate::source::{Chroma, Depth, Source};
use crate::tables::{Columns, GROUP, LOAD, Rows};
use crate::window::Spans;

/// Neutral chroma.
const NEUTRAL: u8 = 128;

/// Where a picture is written: an NV12 slot's planes.
#[derive(Debug)]
pub struct Target<'a> {
    /// Luma rows.
    pub luma: &'a mut [u8],
    /// Chroma rows, U and V interleaved.
    pub chroma: &'a mut [u8],
    /// Bytes between the starts of two rows, in both planes.
    pub stride: usize,
}

impl Target<'_> {
    fn fits(&self, size: Size) -> bool {
        let (width, height) = (size.width as usize, size.height as usize);
        let row = width.next_multiple_of(2);
        let holds = |plane: &[u8], rows: usize, row: usize| {
            plane.len() >= self.stride.saturating_mul(rows - 1).saturating_add(row)
        };
        self.stride >= row
            && holds(self.luma, height, width)
            && holds(self.chroma, height.div_ceil(2), row)
    }
}

/// A picture or a destination that is too small for the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A plane of the source.
    Source(Size),
    /// A plane or the stride of the destination.
    Target(Size),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, Size { width, height }) = match self {
            Self::Source(size) => ("the decoded picture is", size),
            Self::Target(size) => ("the slot is", size),
        };
        write!(f, "can't scale: {what} smaller than its size requires, {width}x{height}")
    }
}

impl std::error::Error for Unfit {}

/// Scales pictures of one size. Has all tables and buffers: [`run`](Self::run) does not allocate.
#[derive(Debug)]
pub struct Scaler {
    plan: Plan,
    kind: Kind,
    luma: Tables,
    chroma: Tables,
    sums: [Vec<i16>; 2],
    luma_row: Line,
    /// U and V.
    chroma_rows: [Line; 2],
}

/// The windows of one plane.
#[derive(Debug)]
struct Tables {
    rows: Rows,
    columns: Columns,
    samples: usize,
}

impl Tables {
    fn new([across, down]: [Spans; 2]) -> Self {
        let (rows, columns) = (Rows::new(&down), Columns::new(&across));
        Self { rows, columns, samples: across.samples as usize }
    }

    /// Sums that a buffer must hold.
    fn sums(&self) -> usize {
        self.columns.reach().max(self.samples) + LOAD
    }
}

/// A row of the output, and one without the picture.
#[derive(Debug)]
struct Line {
    row: Vec<u8>,
    bar: Vec<u8>,
    /// Where the picture is.
    content: Range<usize>,
    black: u8,
}

impl Line {
    fn new(width: usize, content: Range<usize>, black: u8) -> Self {
        let ends = content.start + content.len().next_multiple_of(GROUP);
        let bytes = width.next_multiple_of(LINE).max(ends);
        Self { row: vec![black; bytes], bar: vec![black; bytes], content, black }
    }

    /// Computes the picture's part of the row; the kernels write whole groups, so what follows is written again.
    fn sum(&mut self, kernels: impl Kernels, sums: &[i16], columns: &Columns) {
        kernels.sum_columns(sums, columns, &mut self.row[self.content.start..]);
        let end = self.content.start + columns.outputs();
        self.row[self.content.end..end].fill(self.black);
    }

    /// Takes every `step`-th sample from `first` on as it is.
    fn take(&mut self, depth: Depth, from: &[u8], first: usize, step: usize) {
        let to = &mut self.row[self.content.clone()];
        if (depth, step) == (Depth::Eight, 1) {
            return to.copy_from_slice(&from[..to.len()]);
        }
        for (at, to) in to.iter_mut().enumerate() {
            *to = depth.sample(from, first + step * at);
        }
    }
}

impl Scaler {
    /// A scaler for a plan, with the best instructions that this processor has.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let kind = Kind::all().into_iter().next_back().unwrap_or(Kind::Scalar);
        Self::with(plan, kind)
    }

    pub(crate) fn with(plan: &Plan, kind: Kind) -> Self {
        let luma = Tables::new(Spans::luma(plan));
        let chroma = Tables::new(Spans::chroma(plan));
        let (output, content) = (plan.output(), plan.content());
        let sums = luma.sums().max(chroma.sums());
        let span = |first: u32, count: u32| first as usize..(first + count) as usize;
        let black = if plan.color().full_range { 0 } else { 16 };
        let luma_row = Line::new(output.width as usize, span(content.x, content.width), black);
        let chroma_row = || {
            let content = span(content.x / 2, content.width.div_ceil(2));
            Line::new(output.width.div_ceil(2) as usize, content, NEUTRAL)
        };
        Self {
            plan: *plan,
            kind,
            luma,
            chroma,
            sums: [vec![0; sums], vec![0; sums]],
            luma_row,
            chroma_rows: [chroma_row(), chroma_row()],
        }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The name of the instruction set in use, such as `AVX2`.
    #[must_use]
    pub fn instructions(&self) -> &'static str {
        self.kind.name()
    }

    /// Scales a picture. Writes each row of the destination once, from the first to the last, with its padding up to
    /// a whole cache line where the stride has room; further padding is left as it is.
    ///
    /// # Errors
    /// [`Unfit`] if the source or the destination is smaller than the plan says; nothing is written then.
    pub fn run(
        &mut self,
        source: &Source<'_>,
        target: Target<'_>,
        store: StoreKind,
    ) -> Result<(), Unfit> {
        if !source.fits(self.plan.source()) {
            return Err(Unfit::Source(self.plan.source()));
        }
        if !target.fits(self.plan.output()) {
            return Err(Unfit::Target(self.plan.output()));
        }
        let bytes = target.luma.len() + target.chroma.len();
        let Target { luma, chroma, stride } = target;
        self.write_luma(source, Emitter::new(luma, stride, bytes, store));
        self.write_chroma(source, Emitter::new(chroma, stride, bytes, store));
        Ok(())
    }

    fn write_luma(&mut self, source: &Source<'_>, mut to: Emitter<'_>) {
        let (output, content) = (self.plan.output(), self.plan.content());
        let Tables { rows, columns, samples } = &self.luma;
        let plane = RowsOf::new(source.luma(), *samples, source.depth());
        let (line, sums) = (&mut self.luma_row, &mut self.sums[0]);
        let width = output.width as usize;
        for row in 0..output.height {
            let at = row.wrapping_sub(content.y) as usize;
            if at >= rows.len() {
                to.copy(&line.bar, width);
                continue;
            }
            if self.plan.is_identity() {
                line.take(source.depth(), plane.row(at), 0, 1);
            } else {
                self.kind.sum_rows(&plane, &rows.window(at), Sums::Row(sums));
                line.sum(self.kind, sums, columns);
            }
            to.copy(&line.row, width);
        }
    }

    fn write_chroma(&mut self, source: &Source<'_>, mut to: Emitter<'_>) {
        let (output, content) = (self.plan.output(), self.plan.content());
        let Tables { rows, columns, samples } = &self.chroma;
        let (kind, depth) = (self.kind, source.depth());
        let [u_line, v_line] = &mut self.chroma_rows;
        let [u_sums, v_sums] = &mut self.sums;
        let bytes = output.width.next_multiple_of(2) as usize;
        for row in 0..output.height.div_ceil(2) {
            let at = row.wrapping_sub(content.y / 2) as usize;
            if at >= rows.len() {
                to.interleave(&u_line.bar, &v_line.bar, bytes);
                continue;
            }
            let is_identity = self.plan.is_identity();
            match source.chroma() {
                Chroma::Interleaved(uv) if is_identity => {
                    let row = RowsOf::new(uv, 2 * samples, depth).row(at);
                    u_line.take(depth, row, 0, 2);
                    v_line.take(depth, row, 1, 2);
                }
                Chroma::Planar(u, v) if is_identity => {
                    u_line.take(depth, RowsOf::new(u, *samples, depth).row(at), 0, 1);
                    v_line.take(depth, RowsOf::new(v, *samples, depth).row(at), 0, 1);
                }
                Chroma::Interleaved(uv) => {
                    let uv = RowsOf::new(uv, 2 * samples, depth);
                    kind.sum_rows(&uv, &rows.window(at), Sums::Apart(u_sums, v_sums));
                }
                Chroma::Planar(u, v) => {
                    for (plane, sums) in [(u, &mut *u_sums), (v, &mut *v_sums)] {
                        let plane = RowsOf::new(plane, *samples, depth);
                        kind.sum_rows(&plane, &rows.window(at), Sums::Row(sums));
                    }
                }
            }
            if !is_identity {
                u_line.sum(kind, u_sums, columns);
                v_line.sum(kind, v_sums, columns);
            }
            to.interleave(&u_line.row, &v_line.row, bytes);
        }
    }
}
