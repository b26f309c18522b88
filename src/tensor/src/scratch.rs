//! Private memory of a pass: a few rows, which stay in the first level of the cache.

use crate::plan::Plan;
use crate::request::Element;
use crate::source::Held;

/// Rows between two steps. One for each thread; it grows for the largest plan or picture and is then reused.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) held: HeldRows,
    /// Luma and chroma between rows, and what their last pair of columns touches beyond.
    pub(crate) luma_row: Vec<i16>,
    pub(crate) chroma_row: Vec<i16>,
    /// Luma, U and V of the output's columns.
    pub(crate) samples: [Vec<i16>; 3],
    /// Red, green, blue; luma in the first if gray.
    pub(crate) levels: [Vec<i16>; 3],
    /// A row that becomes half precision.
    pub(crate) floats: Vec<f32>,
}

/// Copies of rows in shared memory: an even and an odd one of each plane, since neighbors are needed together.
#[derive(Debug, Default)]
pub(crate) struct HeldRows {
    pub(crate) luma: [Held; 2],
    pub(crate) chroma: [Held; 2],
}

impl HeldRows {
    /// Makes room for rows of a picture and forgets those of the last one.
    pub(crate) fn prepare(&mut self, width: u32) {
        for held in self.luma.iter_mut().chain(&mut self.chroma) {
            held.reserve(width.next_multiple_of(2) as usize);
            held.clear();
        }
    }
}

impl Scratch {
    /// Allocates what a plan needs, so that [`Plan::run`] does not have to.
    pub fn prepare(&mut self, plan: &Plan) {
        let (width, columns) = (plan.picture().0, plan.luma_columns.len());
        self.held.prepare(width);
        let grow = |row: &mut Vec<i16>, len: usize| {
            if row.len() < len {
                row.resize(len, 0);
            }
        };
        grow(&mut self.luma_row, width as usize + 1);
        grow(&mut self.chroma_row, width.next_multiple_of(2) as usize + 2);
        for row in self.samples.iter_mut().chain(&mut self.levels) {
            grow(row, columns);
        }
        let floats = if plan.request().element == Element::F16 { 3 * columns } else { 0 };
        if self.floats.len() < floats {
            self.floats.resize(floats, 0.0);
        }
    }
}
