//! Private memory of a pass: a few rows, which stay in the first level of the cache.

use crate::plan::Plan;
use crate::request::Element;
use crate::source::Held;

/// Rows between two steps. One for each thread; it grows for the largest plan or picture and is then reused.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) held: HeldRows,
    /// Samples of an upper and a lower row that lie far apart in their own.
    pub(crate) gathered: [Gathered; 2],
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

/// Samples side by side.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) luma: Vec<u8>,
    pub(crate) chroma: Vec<u8>,
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
        let columns = plan.columns.padded();
        self.held.prepare(plan.picture().0);
        for gathered in &mut self.gathered {
            grow(&mut gathered.luma, 2 * columns);
            grow(&mut gathered.chroma, 4 * columns);
        }
        for row in &mut self.levels {
            grow(row, columns);
        }
        if plan.request().element == Element::F16 {
            grow(&mut self.floats, 3 * columns);
        }
    }
}

fn grow<T: Copy + Default>(row: &mut Vec<T>, len: usize) {
    if row.len() < len {
        row.resize(len, T::default());
    }
}
