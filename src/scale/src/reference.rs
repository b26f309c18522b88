//! `docs/ref/scaling.md` in plain loops: what every implementation's output is compared with. Slow, and it allocates.

use crate::plan::Plan;
use crate::source::{Chroma, Depth, Plane, Source};

/// A picture as NV12 without padding between rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Luma rows.
    pub luma: Vec<u8>,
    /// Chroma rows, U and V interleaved.
    pub chroma: Vec<u8>,
}

/// Scales a picture as the page says.
///
/// # Panics
/// If the source is not of the plan's size.
#[must_use]
pub fn scale(source: &Source<'_>, plan: &Plan) -> Picture {
    assert!(source.fits(plan.source()), "a source of the plan's size");
    let (output, content) = (plan.output(), plan.content());
    let black = if plan.color().full_range { 0 } else { 16 };
    let (width, height) = (output.width as usize, output.height as usize);
    let mut luma = vec![black; width * height];
    let mut chroma = vec![128; 2 * width.div_ceil(2) * height.div_ceil(2)];

    let depth = source.depth();
    let (across, down) = luma_weights(plan);
    let y = |x, row| sample(source.luma(), depth, x, row);
    let at = |x: usize, row: usize| (row + content.y as usize) * width + x + content.x as usize;
    average(&across, &down, y, |x, row, value| luma[at(x, row)] = value);

    let (across, down) = chroma_weights(plan);
    for component in 0..2 {
        let part = |x, row| match source.chroma() {
            Chroma::Interleaved(uv) => sample(uv, depth, 2 * x + component, row),
            Chroma::Planar(u, v) => sample([u, v][component], depth, x, row),
        };
        let at = |x: usize, row: usize| {
            let (x, row) = (x + content.x as usize / 2, row + content.y as usize / 2);
            row * 2 * width.div_ceil(2) + 2 * x + component
        };
        average(&across, &down, part, |x, row, value| chroma[at(x, row)] = value);
    }
    Picture { luma, chroma }
}

fn sample(plane: Plane<'_>, depth: Depth, x: usize, row: usize) -> u64 {
    u64::from(depth.sample(&plane.data[row * plane.stride..], x))
}

/// The weights of one output sample, one for each sample of the source's row or column.
type Weights = Vec<Vec<u64>>;

fn luma_weights(plan: &Plan) -> (Weights, Weights) {
    let (source, content) = (plan.source(), plan.content());
    let (width, height) = (i64::from(source.width), i64::from(source.height));
    (
        weights(width, content.width.into(), width, content.width.into(), 0, 1 << 14),
        weights(height, content.height.into(), height, content.height.into(), 0, 1 << 8),
    )
}

fn chroma_weights(plan: &Plan) -> (Weights, Weights) {
    let (source, content, site) = (plan.source(), plan.content(), plan.color().site);
    let half = |side: u32| (i64::from(side) + 1) / 2;
    let one = |source: u32, content: u32, a: i32, sum| {
        let (outputs, samples) = (half(content), half(source));
        weights(source.into(), content.into(), samples, outputs, a.into(), sum)
    };
    (
        one(source.width, content.width, site.across.factor(), 1 << 14),
        one(source.height, content.height, site.down.factor(), 1 << 8),
    )
}

/// The weights of all output samples, by the page's names: `n`, `d`, `m`, number of outputs, `a`, `s`.
fn weights(n: i64, d: i64, m: i64, outputs: i64, a: i64, s: i64) -> Weights {
    let window = |k: i64| {
        let begin = 4 * k * n - a * (n - d);
        let covered = |i: i64| {
            if i <= 0 {
                0
            } else if i >= m {
                4 * n
            } else {
                (4 * i * d - begin).max(0).min(4 * n)
            }
        };
        let below = |i| (covered(i) * s + 2 * n) / (4 * n);
        (0..m).map(|i| (below(i + 1) - below(i)) as u64).collect()
    };
    (0..outputs).map(window).collect()
}

/// Every output sample: the sum of all products, rounded once.
fn average(
    across: &Weights,
    down: &Weights,
    sample: impl Fn(usize, usize) -> u64,
    mut store: impl FnMut(usize, usize, u8),
) {
    let nonzero = |weights: &Vec<u64>| -> Vec<(usize, u64)> {
        weights.iter().copied().enumerate().filter(|(_, weight)| *weight > 0).collect()
    };
    let across: Vec<_> = across.iter().map(nonzero).collect();
    for (row, down) in down.iter().map(nonzero).enumerate() {
        for (x, across) in across.iter().enumerate() {
            let mut sum = 0;
            for (from_row, weight) in &down {
                for (from_x, other) in across {
                    sum += weight * other * sample(*from_x, *from_row);
                }
            }
            store(x, row, ((sum + (1 << 21)) >> 22) as u8);
        }
    }
}
