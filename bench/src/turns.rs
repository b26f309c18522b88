//! The order in which ways are measured, and tables of what long turns gave.

use std::fmt::Debug;

use crate::Distribution;

/// Orders in which no way always follows the same one.
#[derive(Debug)]
pub struct Shuffle(u64);

impl Default for Shuffle {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Shuffle {
    /// The indices below `count`, shuffled.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            order.swap(last, (self.0 % (last as u64 + 1)) as usize);
        }
        order
    }
}

/// Ways that take turns of about a second, each of which yields the times of `N` quantities. A turn counts as its
/// medians.
#[derive(Debug)]
pub struct Turns<W, const N: usize> {
    quantities: [&'static str; N],
    ways: Vec<(W, [Distribution; N])>,
}

impl<W: Copy + Debug, const N: usize> Turns<W, N> {
    /// Runs each way `count` times.
    pub fn run(
        quantities: [&'static str; N],
        ways: &[W],
        count: usize,
        mut turn: impl FnMut(W) -> [Distribution; N],
    ) -> Self {
        let empty = || std::array::from_fn(|_| Distribution::default());
        let mut ways: Vec<_> = ways.iter().map(|way| (*way, empty())).collect();
        let mut shuffle = Shuffle::default();
        for _ in 0..count {
            for index in shuffle.order(ways.len()) {
                let (way, medians) = &mut ways[index];
                for (medians, times) in medians.iter_mut().zip(turn(*way)) {
                    medians.add(times.percentile(50));
                }
            }
        }
        Self { quantities, ways }
    }

    /// Prints for each way the median, lowest and highest turn, and the ratio of its median to the one of the way that
    /// `base` names.
    pub fn report(&self, title: &str, base: impl Fn(W) -> W)
    where
        W: PartialEq,
    {
        println!("\n{title}");
        print!("  {:<14}", "way");
        for quantity in self.quantities {
            print!("{:>10} us  lowest highest  ratio", quantity);
        }
        println!();
        for (way, medians) in &self.ways {
            print!("  {:<14}", format!("{way:?}"));
            let (_, bases) =
                self.ways.iter().find(|(other, _)| *other == base(*way)).expect("a base that ran");
            for (medians, base) in medians.iter().zip(bases) {
                let us = |percent| medians.percentile(percent).as_secs_f64() * 1e6;
                let ratio = us(50) / (base.percentile(50).as_secs_f64() * 1e6);
                print!("{:>13.1} {:>7.1} {:>7.1} {ratio:>6.2}", us(50), us(0), us(100));
            }
            println!();
        }
    }
}
