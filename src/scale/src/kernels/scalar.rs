//! The steps in plain Rust: for every processor.

use super::{BIAS, Kernels, ROUND, RowsOf, SHIFT, Sums};
use crate::tables::{Columns, LOAD, Lines, RowWindow};

#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar;

impl Kernels for Scalar {
    fn sum_rows(self, rows: &RowsOf<'_>, window: &RowWindow<'_>, sums: Sums<'_>) {
        match sums {
            Sums::Row(sums) => sum(rows, window, 0, &mut sums[..rows.columns], 1),
            Sums::Apart(even, odd) => {
                let half = rows.columns / 2;
                sum(rows, window, 0, &mut even[..half], 2);
                sum(rows, window, 1, &mut odd[..half], 2);
            }
        }
    }

    fn sum_columns(self, sums: &[i16], columns: &Columns, to: &mut [u8]) {
        let to = &mut to[..columns.outputs()];
        let product = |sum: i16, weight: i16| i32::from(sum) * i32::from(weight);
        let round = |total: i32| ((total + ROUND) >> SHIFT) as u8;
        match &columns.lines {
            Lines::Pairs(pairs) => {
                for (at, to) in to.iter_mut().enumerate() {
                    let (pair, half) = (at / 2, at % 2 * 4);
                    let from = &sums[pairs.first[pair] as usize..][..LOAD];
                    let shuffle = &pairs.shuffles[pair].0[2 * half..][..LOAD];
                    let weights = &pairs.weights[pair].0[half..][..4];
                    let taps = shuffle.chunks_exact(2).zip(weights);
                    // A weight of 0 has no sum: its shuffle is 0x80.
                    *to = round(
                        taps.map(|(s, w)| product(from[usize::from(s[0] / 2) % LOAD], *w)).sum(),
                    );
                }
            }
            Lines::Eights(eights) => {
                let weights = eights.weights.chunks_exact(eights.loads);
                for ((to, first), weights) in to.iter_mut().zip(&eights.first).zip(weights) {
                    let from = sums[*first as usize..].chunks_exact(LOAD);
                    let taps = from.zip(weights).flat_map(|(sums, line)| sums.iter().zip(&line.0));
                    *to = round(taps.map(|(sum, weight)| product(*sum, *weight)).sum());
                }
            }
        }
    }
}

/// The sums of every `step`-th column from `column` on.
fn sum(rows: &RowsOf<'_>, window: &RowWindow<'_>, column: usize, sums: &mut [i16], step: usize) {
    sums.fill(i16::MIN);
    debug_assert_eq!(i32::from(i16::MIN), -BIAS);
    for (at, pair) in window.pairs.iter().enumerate() {
        let first = window.first + 2 * at;
        let second = if 2 * at + 1 < window.rows { first + 1 } else { first };
        for (row, weight) in [(first, pair & 0xff), (second, pair >> 8)] {
            if weight == 0 {
                continue;
            }
            let from = rows.row(row);
            for (at, sum) in sums.iter_mut().enumerate() {
                let sample = u16::from(rows.depth.sample(from, column + step * at));
                // Below 2^16 at all times, and the bias is its highest bit: no carry is lost.
                *sum = sum.wrapping_add_unsigned(weight * sample);
            }
        }
    }
}
