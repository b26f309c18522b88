//! The pass over a picture: for each output row, luma and chroma between rows, then between columns, then colors, then
//! elements. The rows in between stay in the cache; of the source, only the rows that count are touched.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::kernels::{CENTER, Kernels, Kind, LevelsMut, WithKernels};
use crate::plan::{Output, Plan};
use crate::request::{Layout, Order};
use crate::scratch::{HeldRows, Scratch};
use crate::source::{Held, Rows, Samples};
use crate::taps::RowTaps;

/// Makes the tensor. Sizes and types were checked and the scratch was prepared.
pub(crate) fn run(plan: &Plan, rows: Rows<'_>, output: &mut Output<'_>, scratch: &mut Scratch) {
    run_on(Kind::best(), plan, rows, output, scratch);
}

pub(crate) fn run_on(
    kind: Kind,
    plan: &Plan,
    rows: Rows<'_>,
    output: &mut Output<'_>,
    scratch: &mut Scratch,
) {
    kind.run(Pass { plan, rows, output, scratch });
}

struct Pass<'a, 'o> {
    plan: &'a Plan,
    rows: Rows<'a>,
    output: &'a mut Output<'o>,
    scratch: &'a mut Scratch,
}

impl WithKernels for Pass<'_, '_> {
    type Output = ();

    fn run<K: Kernels>(self, kernels: K) {
        let Self { plan, rows, output, scratch } = self;
        draw_bars(plan, output);
        let columns = plan.luma_columns.len();
        let Scratch { held, luma_row, chroma_row, samples, levels, floats } = scratch;
        let HeldRows { luma: held_luma, chroma: held_chroma } = held;
        let [luma, u, v] = samples.each_mut().map(|row| &mut row[..columns]);
        let mut chroma_taps = None;
        for (at, row) in plan.rows.iter().enumerate() {
            between_rows(kernels, &rows, Samples::Luma, row.luma, held_luma, luma_row, plan);
            kernels.luma_columns(luma_row, &plan.luma_columns, luma);
            if !plan.is_gray() && chroma_taps != Some(row.chroma) {
                between_rows(
                    kernels,
                    &rows,
                    Samples::Chroma,
                    row.chroma,
                    held_chroma,
                    chroma_row,
                    plan,
                );
                kernels.chroma_columns(chroma_row, &plan.chroma_columns, u, v);
                chroma_taps = Some(row.chroma);
            }
            let [red, green, blue] = levels.each_mut().map(|row| &mut row[..columns]);
            if plan.is_gray() {
                kernels.gray_levels(&plan.factors, luma, red);
            } else {
                let to = LevelsMut { red, green, blue };
                kernels.color_levels(&plan.factors, luma, u, v, to);
            }
            let [red, green, blue] = levels.each_ref().map(|row| &row[..columns]);
            let channels = match plan.request().order {
                Order::Bgr => [blue, green, red],
                Order::Rgb | Order::Gray => [red, green, blue],
            };
            store(kernels, plan, plan.top + at, channels, output, floats);
        }
    }
}

/// Puts a row between two rows of a plane into `to`.
fn between_rows<K: Kernels>(
    kernels: K,
    rows: &Rows<'_>,
    samples: Samples,
    taps: RowTaps,
    held: &mut [Held; 2],
    to: &mut [i16],
    plan: &Plan,
) {
    let width = plan.picture().0;
    let (len, less) = match samples {
        Samples::Luma => (width, 0),
        Samples::Chroma => (width.next_multiple_of(2), CENTER),
    };
    let to = &mut to[..len as usize];
    let [even, odd] = held;
    let (of_first, of_second) = if taps.first % 2 == 0 { (even, odd) } else { (odd, even) };
    let first = rows.row(samples, taps.first, of_first);
    let second =
        (taps.weight != 0).then(|| (rows.row(samples, taps.first + 1, of_second), taps.weight));
    kernels.between_rows(first, second, less, to);
}

/// Stores the elements of an output row.
fn store<K: Kernels>(
    kernels: K,
    plan: &Plan,
    row: usize,
    channels: [&[i16]; 3],
    output: &mut Output<'_>,
    floats: &mut [f32],
) {
    let columns = channels[0].len();
    let request = plan.request();
    let (width, height) = (request.width as usize, request.height as usize);
    if request.layout == Layout::Nhwc && !plan.is_gray() {
        let begin = 3 * (row * width + plan.left);
        let elements = begin..begin + 3 * columns;
        match output {
            Output::U8(to) => kernels.packed_bytes(channels, &mut to[elements]),
            Output::F32(to) => kernels.packed_floats(channels, plan.lines, &mut to[elements]),
            Output::F16(to) => {
                let floats = &mut floats[..3 * columns];
                kernels.packed_floats(channels, plan.lines, floats);
                to[elements].convert_from_f32_slice(floats);
            }
        }
        return;
    }
    let planes = request.order.channels();
    for (plane, (levels, line)) in channels.into_iter().zip(plan.lines).take(planes).enumerate() {
        let begin = (plane * height + row) * width + plan.left;
        let elements = begin..begin + columns;
        match output {
            Output::U8(to) => kernels.bytes(levels, &mut to[elements]),
            Output::F32(to) => kernels.floats(levels, line, &mut to[elements]),
            Output::F16(to) => {
                let floats = &mut floats[..columns];
                kernels.floats(levels, line, floats);
                to[elements].convert_from_f32_slice(floats);
            }
        }
    }
}

/// Fills what no picture covers.
fn draw_bars(plan: &Plan, output: &mut Output<'_>) {
    let pad = plan.request().pad;
    let levels = plan.lines.map(|line| line.at(i16::from(pad) << 6));
    match output {
        Output::U8(to) => fill_bars(plan, to, [pad; 3]),
        Output::F16(to) => fill_bars(plan, to, levels.map(f16::from_f32)),
        Output::F32(to) => fill_bars(plan, to, levels),
    }
}

fn fill_bars<T: Copy>(plan: &Plan, to: &mut [T], values: [T; 3]) {
    let request = plan.request();
    let width = request.width as usize;
    let is_packed = request.layout == Layout::Nhwc && !plan.is_gray();
    let (planes, pixel) = if is_packed { (1, 3) } else { (request.order.channels(), 1) };
    let right = plan.left + plan.luma_columns.len();
    let bottom = plan.top + plan.rows.len();
    for (plane, rows) in to.chunks_exact_mut(to.len() / planes).enumerate() {
        let fill = |elements: &mut [T]| {
            if is_packed {
                for pixel in elements.chunks_exact_mut(3) {
                    pixel.copy_from_slice(&values);
                }
            } else {
                elements.fill(values[plane]);
            }
        };
        let (above, rest) = rows.split_at_mut(plan.top * width * pixel);
        let (beside, below) = rest.split_at_mut((bottom - plan.top) * width * pixel);
        fill(above);
        fill(below);
        if right - plan.left < width {
            for row in beside.chunks_exact_mut(width * pixel) {
                fill(&mut row[..plan.left * pixel]);
                fill(&mut row[right * pixel..]);
            }
        }
    }
}
