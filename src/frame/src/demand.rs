//! Readers' demand, stated by the byte of `readers` that each reader locks.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use crate::layout::DEMAND_BASE;
use crate::lock;

/// The highest frame rate that a reader wants, in thousandths of a frame per second, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxFps(u32);

impl MaxFps {
    /// Highest rate that can be stated: a million frames per second.
    const MAX: u32 = 1_000_000_000;

    /// A rate of `num / den` frames per second. `None` if either is zero or the rate is above a
    /// million.
    ///
    /// Rounding up never understates the demand: 30000/1001 becomes 29.971.
    ///
    /// ```
    /// use vas_frame::{MaxFps, Reader};
    ///
    /// let rate = MaxFps::new(30_000, 1001).expect("neither is zero");
    /// assert_eq!(rate.millihertz(), 29_971);
    /// let options = Reader::options().max_rate(rate);
    /// ```
    #[must_use]
    pub fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 {
            return None;
        }
        let milli = (u64::from(num) * 1000).div_ceil(u64::from(den));
        u32::try_from(milli).ok().filter(|milli| *milli <= Self::MAX).map(Self)
    }

    /// So many thousandths of a frame per second. `None` for zero, and above a million frames per second.
    #[must_use]
    pub fn from_millihertz(millihertz: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&millihertz).then_some(Self(millihertz))
    }

    /// Thousandths of a frame per second.
    #[must_use]
    pub fn millihertz(self) -> u32 {
        self.0
    }
}

/// The byte that states a reader's rate; `None` is every frame.
pub(crate) fn byte_of(max: Option<MaxFps>) -> u64 {
    DEMAND_BASE + max.map_or(0, |max| u64::from(max.0))
}

/// The combined demand of a camera's readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Demanded {
    /// There is no reader.
    #[default]
    Nothing,
    /// Every frame is wanted: a reader states that, or readers state more than
    /// [`MAX_RATES`](Self::MAX_RATES) rates.
    EveryFrame,
    /// Each reader wants one of these rates at most; distinct, ascending.
    Rates(Vec<MaxFps>),
}

impl Demanded {
    /// The most rates that are distinguished.
    pub const MAX_RATES: usize = 64;

    /// Queries the kernel, at most `2 * MAX_RATES + 1` times.
    pub(crate) fn read(readers: BorrowedFd<'_>) -> io::Result<Self> {
        let mut rates = Vec::new();
        let all = DEMAND_BASE..DEMAND_BASE + u64::from(MaxFps::MAX) + 1;
        let mut unasked = Vec::from([all]);
        while let Some(within) = unasked.pop() {
            let Some(found) = lock::locked_bytes(readers, within.clone())? else { continue };
            if found.start == DEMAND_BASE || rates.len() == Self::MAX_RATES {
                return Ok(Self::EveryFrame);
            }
            rates.push(rate_of(&found));
            unasked.extend([within.start..found.start, found.end..within.end]);
        }
        rates.sort_unstable();
        Ok(if rates.is_empty() { Self::Nothing } else { Self::Rates(rates) })
    }
}

/// A reader locks one byte. If it locks more, the highest counts.
fn rate_of(found: &Range<u64>) -> MaxFps {
    MaxFps((found.end - 1 - DEMAND_BASE) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::path::Path;

    fn reader(path: &Path, byte: u64) -> File {
        let file = File::open(path).unwrap();
        assert!(lock::try_read_lock_byte(file.as_fd(), byte).unwrap());
        file
    }

    fn fps(num: u32, den: u32) -> MaxFps {
        MaxFps::new(num, den).unwrap()
    }

    #[test]
    fn rates_are_rounded_up() {
        assert_eq!(fps(5, 1).millihertz(), 5000);
        assert_eq!(fps(30_000, 1001).millihertz(), 29_971);
        assert_eq!(fps(1, u32::MAX).millihertz(), 1);
        assert_eq!(fps(1_000_000, 1).millihertz(), MaxFps::MAX);
        for (num, den) in [(0, 1), (1, 0), (1_000_001, 1), (u32::MAX, 1)] {
            assert_eq!(MaxFps::new(num, den), None);
        }
    }

    #[test]
    fn all_demanded_rates_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("readers");
        let writer = File::create(&path).unwrap();
        let demanded = || Demanded::read(writer.as_fd()).unwrap();
        assert_eq!(demanded(), Demanded::Nothing);
        let wanted = [fps(5, 1), fps(7, 1), fps(5, 1), fps(30, 1)];
        let mut readers: Vec<_> =
            wanted.iter().map(|rate| reader(&path, byte_of(Some(*rate)))).collect();
        let rates = |fps_s: &[u32]| Demanded::Rates(fps_s.iter().map(|n| fps(*n, 1)).collect());
        assert_eq!(demanded(), rates(&[5, 7, 30]));
        readers.pop();
        assert_eq!(demanded(), rates(&[5, 7]));
        let all = reader(&path, byte_of(None));
        assert_eq!(demanded(), Demanded::EveryFrame);
        drop((all, readers));
        assert_eq!(demanded(), Demanded::Nothing);
    }

    #[test]
    fn too_many_rates_count_as_every_frame() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("readers");
        let writer = File::create(&path).unwrap();
        let rate = |n| byte_of(MaxFps::new(n, 1));
        let mut readers: Vec<_> = (1..=64).map(|n| reader(&path, rate(n))).collect();
        let demanded = || Demanded::read(writer.as_fd()).unwrap();
        assert!(matches!(demanded(), Demanded::Rates(rates) if rates.len() == 64));
        readers.push(reader(&path, rate(65)));
        assert_eq!(demanded(), Demanded::EveryFrame);
    }
}
