//! Frame rates.

use core::fmt;
use core::num::NonZeroU32;
use core::str::FromStr;

pub(crate) const NS_PER_S: u64 = 1_000_000_000;

/// Frames a second, as an exact positive fraction in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    // Non-zero, so that no division by them can panic.
    num: NonZeroU32,
    den: NonZeroU32,
}

/// The text is not a rate: not a number, zero, or a number that no fraction of two `u32` states
/// exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRate;

impl Rate {
    /// `num / den` frames a second; `None` when either is zero.
    ///
    /// ```
    /// use vas_gate::Rate;
    ///
    /// let rate = Rate::new(50, 2).expect("neither is zero");
    /// assert_eq!((rate.num(), rate.den(), rate.interval_ns()), (25, 1, 40_000_000));
    /// ```
    #[must_use]
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        let (Some(whole_num), Some(whole_den)) = (NonZeroU32::new(num), NonZeroU32::new(den))
        else {
            return None;
        };
        let common = greatest_common_divisor(whole_num, whole_den);
        // A positive number divided by its divisor: neither is ever zero.
        match (NonZeroU32::new(num / common.get()), NonZeroU32::new(den / common.get())) {
            (Some(num), Some(den)) => Some(Self { num, den }),
            _ => None,
        }
    }

    /// The numerator.
    #[must_use]
    pub const fn num(self) -> u32 {
        self.num.get()
    }

    /// The denominator.
    #[must_use]
    pub const fn den(self) -> u32 {
        self.den.get()
    }

    /// Time between two frames in whole nanoseconds, rounded down.
    #[must_use]
    pub const fn interval_ns(self) -> u64 {
        // At most 2^32 * 10^9, which is below 2^64.
        self.den.get() as u64 * NS_PER_S / self.num.get() as u64
    }

    /// Frames per second, rounded up.
    pub(crate) const fn whole(self) -> u32 {
        self.num.get().div_ceil(self.den.get())
    }

    /// The rate of the NTSC family (`fps * 1000 / 1001`) for which this decimal is the usual notation;
    /// any other rate unchanged.
    const fn meant(self) -> Self {
        let fps = match (self.num.get(), self.den.get()) {
            (2997, 200) => 15,              // 14.985
            (2997, 125) | (1199, 50) => 24, // 23.976, 23.98
            (2997, 100) => 30,              // 29.97
            (5994, 125) => 48,              // 47.952
            (2997, 50) => 60,               // 59.94
            (2997, 25) => 120,              // 119.88
            _ => return self,
        };
        match Self::new(fps * 1000, 1001) {
            Some(rate) => rate,
            None => self,
        }
    }
}

const fn greatest_common_divisor(a: NonZeroU32, b: NonZeroU32) -> NonZeroU32 {
    let (mut a, mut rest) = (a, b.get());
    while let Some(b) = NonZeroU32::new(rest) {
        rest = a.get() % b.get();
        a = b;
    }
    a
}

impl FromStr for Rate {
    type Err = InvalidRate;

    /// Parses `25`, `12.5` or `30000/1001`. A decimal is exact, except where it is the usual
    /// notation of a rate of the NTSC family: `29.97` is 30000/1001.
    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        if let Some((num, den)) = text.split_once('/') {
            return Self::new(digits(num)?, digits(den)?).ok_or(InvalidRate);
        }
        let Some((whole, decimals)) = text.split_once('.') else {
            return Self::new(digits(text)?, 1).ok_or(InvalidRate);
        };
        let places = u32::try_from(decimals.len()).map_err(|_| InvalidRate)?;
        let scale = 10_u32.checked_pow(places).ok_or(InvalidRate)?;
        let whole = digits(whole)?.checked_mul(scale).ok_or(InvalidRate)?;
        let num = whole.checked_add(digits(decimals)?).ok_or(InvalidRate)?;
        Self::new(num, scale).map(Self::meant).ok_or(InvalidRate)
    }
}

/// `u32::from_str` accepts a leading plus sign; a rate does not.
fn digits(text: &str) -> Result<u32, InvalidRate> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| InvalidRate)
    } else {
        Err(InvalidRate)
    }
}

impl fmt::Display for Rate {
    /// Prints text that [`FromStr`] parses back to the same rate: `25`, `30000/1001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den.get() {
            1 => write!(f, "{}", self.num),
            den => write!(f, "{}/{den}", self.num),
        }
    }
}

impl fmt::Display for InvalidRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no frame rate; expected a number above 0 such as 5, 12.5 or 30000/1001")
    }
}

impl core::error::Error for InvalidRate {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString as _;

    use super::*;

    fn rate(num: u32, den: u32) -> Rate {
        Rate::new(num, den).unwrap()
    }

    #[test]
    fn rates_parse_exactly() {
        for (text, num, den) in [
            ("25", 25, 1),
            ("12.5", 25, 2),
            ("0.1", 1, 10),
            ("007", 7, 1),
            ("30.00", 30, 1),
            ("0.000000001", 1, 1_000_000_000),
            ("30000/1001", 30000, 1001),
            ("50/2", 25, 1),
            ("4294967295", u32::MAX, 1),
        ] {
            assert_eq!(text.parse(), Ok(rate(num, den)), "{text}");
        }
    }

    #[test]
    fn ntsc_decimals_parse_as_ntsc_rates() {
        for (text, thousands) in
            [("14.985", 15), ("23.976", 24), ("23.98", 24), ("29.97", 30), ("29.970", 30)]
        {
            assert_eq!(text.parse(), Ok(rate(thousands * 1000, 1001)), "{text}");
        }
        for (text, thousands) in [("47.952", 48), ("59.94", 60), ("119.88", 120)] {
            assert_eq!(text.parse(), Ok(rate(thousands * 1000, 1001)), "{text}");
        }
        // A fraction is exact.
        assert_eq!("2997/100".parse(), Ok(rate(2997, 100)));
    }

    #[test]
    fn non_positive_rates_are_refused() {
        for text in [
            "",
            "0",
            "0.0",
            "-1",
            "+5",
            "1/0",
            "0/1",
            "/",
            "x",
            ".",
            "1.",
            ".5",
            "nan",
            "inf",
            "1e3",
            " 25",
            "4294967296",
            "5000000000/1",
            "1.0000000000",
            "1/-2",
            "1/2/3",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(InvalidRate), "{text:?}");
        }
    }

    #[test]
    fn printed_rates_parse_back() {
        for (num, den) in [(25, 1), (30000, 1001), (1, 3), (2997, 100), (u32::MAX, 7)] {
            let rate = rate(num, den);
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
    }

    #[test]
    fn intervals_round_down_and_fit() {
        assert_eq!(rate(25, 1).interval_ns(), 40_000_000);
        assert_eq!(rate(30000, 1001).interval_ns(), 33_366_666);
        assert_eq!(rate(1, u32::MAX).interval_ns(), u64::from(u32::MAX) * NS_PER_S);
        assert_eq!(rate(u32::MAX, 1).interval_ns(), 0);
    }
}
