//! The pass over a picture: for each output row, colors of the pixels around each of its own, then those between, then
//! elements. The rows in between stay in the cache; of the source, only the rows that count are touched.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::kernels::{Kernels, Kind, LevelsMut, TapRow, WithKernels};
use crate::plan::{Output, Plan};
use crate::request::{Layout, Order};
use crate::scratch::{Gathered, HeldRows, Scratch};
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
        let Scratch { held, gathered, levels, floats } = scratch;
        let (columns, padded) = (plan.columns.len(), plan.columns.padded());
        for (at, taps) in plan.rows.iter().enumerate() {
            let (upper, lower) = tap_rows(plan, &rows, taps, held, gathered);
            let [red, green, blue] = levels.each_mut().map(|row| &mut row[..padded]);
            if plan.is_gray() {
                let lower = lower.map(|(lower, weight)| (lower.luma, weight));
                kernels.gray_levels(&plan.factors, upper.luma, lower, &plan.columns, red);
            } else {
                let to = LevelsMut { red, green, blue };
                kernels.color_levels(&plan.factors, upper, lower, &plan.columns, to);
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

/// The rows that an output row is made of: the upper one, and the lower one with its weight if it has any.
fn tap_rows<'a>(
    plan: &Plan,
    rows: &Rows<'a>,
    RowTaps { first, weight }: &RowTaps,
    held: &'a mut HeldRows,
    gathered: &'a mut [Gathered; 2],
) -> (TapRow<'a>, Option<(TapRow<'a>, i16)>) {
    let columns = &plan.columns;
    let [of_upper, of_lower] = gathered;
    let [upper, lower] = in_turns(*first, &mut held.luma);
    let luma = rows.row(Samples::Luma, *first, upper);
    let mut upper = TapRow { luma: columns.gather_luma(luma, &mut of_upper.luma), chroma: &[] };
    let mut second = None;
    if *weight != 0 {
        let luma = rows.row(Samples::Luma, first + 1, lower);
        let luma = columns.gather_luma(luma, &mut of_lower.luma);
        second = Some((TapRow { luma, chroma: &[] }, *weight));
    }
    if plan.is_gray() {
        return (upper, second);
    }
    let [held_upper, held_lower] = in_turns(first / 2, &mut held.chroma);
    let chroma = rows.row(Samples::Chroma, first / 2, held_upper);
    upper.chroma = columns.gather_chroma(chroma, &mut of_upper.chroma);
    if let Some((lower, _)) = &mut second {
        lower.chroma = if first % 2 == 0 {
            upper.chroma
        } else {
            let chroma = rows.row(Samples::Chroma, first / 2 + 1, held_lower);
            columns.gather_chroma(chroma, &mut of_lower.chroma)
        };
    }
    (upper, second)
}

/// The place of a row and that of the next one.
fn in_turns(row: usize, [even, odd]: &mut [Held; 2]) -> [&mut Held; 2] {
    if row.is_multiple_of(2) { [even, odd] } else { [odd, even] }
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
    let right = plan.left + plan.columns.len();
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
