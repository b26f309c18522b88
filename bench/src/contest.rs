//! Ways to do the same work, measured in turns.

use std::fmt::Debug;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};

use crate::{Distribution, Shuffle};

/// Times of several ways to do the same work. A round runs each once, in a random order.
#[derive(Debug)]
pub struct Contest<W> {
    ways: Vec<(W, Distribution)>,
    shuffle: Shuffle,
}

impl<W: Copy + Debug + PartialEq> Contest<W> {
    /// A contest without rounds.
    #[must_use]
    pub fn new(ways: &[W]) -> Self {
        let ways = ways.iter().map(|way| (*way, Distribution::default())).collect();
        Self { ways, shuffle: Shuffle::default() }
    }

    /// Runs rounds and returns the total time of `way`.
    pub fn rounds(&mut self, count: u64, way: W, run: &mut impl FnMut(W) -> Duration) -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..count {
            for index in self.shuffle.order(self.ways.len()) {
                let (now, times) = &mut self.ways[index];
                let time = run(*now);
                times.add(time);
                if *now == way {
                    total += time;
                }
            }
        }
        total
    }

    /// Prints each way's distribution, and its ratio to the one of `ordinary` with the least median:
    /// the ratio of the medians, and the median of the ratios within a round.
    pub fn report(&self, title: &str, ordinary: &[W]) {
        if self.ways.iter().all(|(_, times)| times.samples().is_empty()) {
            // Filtered out.
            return;
        }
        println!("\n{title}");
        let median = |(_, times): &&(W, Distribution)| times.percentile(50);
        let ordinary = self.ways.iter().filter(|(way, _)| ordinary.contains(way));
        let Some((best, base)) = ordinary.min_by_key(median) else { return };
        println!("  {:<22}{}  ratio  in-round", "way", Distribution::COLUMNS);
        for (way, times) in &self.ways {
            let ratio = times.percentile(50).as_secs_f64() / base.percentile(50).as_secs_f64();
            let pairs = times.samples().iter().zip(base.samples());
            let mut ratios: Vec<f64> =
                pairs.map(|(one, other)| one.as_secs_f64() / other.as_secs_f64()).collect();
            ratios.sort_unstable_by(f64::total_cmp);
            let in_round = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);
            let mark = if way == best { " <- best ordinary" } else { "" };
            println!("  {:<22}{times}  {ratio:5.2}  {in_round:8.2}{mark}", format!("{way:?}"));
        }
    }
}

/// Measures `ways` through criterion, which gets each way's times; every sample of one way comes from a
/// round of all. Prints the table at the end.
pub fn measure<W: Copy + Debug + PartialEq>(
    criterion: &mut Criterion,
    title: &str,
    ways: &[W],
    ordinary: &[W],
    mut run: impl FnMut(W) -> Duration,
) {
    let mut contest = Contest::new(ways);
    let mut group = criterion.benchmark_group(title);
    group.sampling_mode(SamplingMode::Flat);
    for &way in ways {
        group.bench_function(format!("{way:?}"), |bencher| {
            bencher.iter_custom(|rounds| contest.rounds(rounds, way, &mut run));
        });
    }
    group.finish();
    contest.report(title, ordinary);
}
