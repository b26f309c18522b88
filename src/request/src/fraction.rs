//! Exact fractions: frame rates and time bases.

use std::fmt;

const NS_PER_S: i128 = 1_000_000_000;

/// A positive fraction, such as 30000/1001 frames a second or 1/90000 seconds a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fraction {
    num: u32,
    den: u32,
}

impl Fraction {
    /// One.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// `None` if either part is zero.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 { None } else { Some(Self { num, den }) }
    }

    /// The numerator, as given: fractions are not reduced.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// The denominator, as given.
    pub const fn den(self) -> u32 {
        self.den
    }

    /// The nearest floating point number, for display and estimates.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// Reads `25`, `29.97` (at most three decimals) or `30000/1001`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((num, den)) = text.split_once('/') {
            return Self::new(parse_digits(num)?, parse_digits(den)?);
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        if decimals.is_empty() || decimals.len() > 3 {
            return None;
        }
        let scale = 10u32.pow(decimals.len() as u32);
        let num = parse_digits(whole)?.checked_mul(scale)?.checked_add(parse_digits(decimals)?)?;
        Self::new(num, scale).map(Self::reduced)
    }

    /// Converts ticks of this time base to nanoseconds; `None` if the result exceeds `i64`.
    pub fn ticks_to_ns(self, ticks: i64) -> Option<i64> {
        let ns = i128::from(ticks) * i128::from(self.num) * NS_PER_S / i128::from(self.den);
        i64::try_from(ns).ok()
    }

    /// The duration of one frame in nanoseconds, if this is a frame rate.
    pub fn frame_ns(self) -> u64 {
        u64::from(self.den) * 1_000_000_000 / u64::from(self.num)
    }

    fn reduced(self) -> Self {
        let (mut a, mut b) = (self.num, self.den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self { num: self.num / a, den: self.den / a }
    }
}

impl fmt::Display for Fraction {
    /// At most two decimals: `25`, `29.97`, `12.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.as_f64());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Parses digits only: `u32::from_str` would also accept a leading plus sign.
fn parse_digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fraction(num: u32, den: u32) -> Fraction {
        Fraction::new(num, den).unwrap()
    }

    #[test]
    fn rates_are_parsed_exactly() {
        assert_eq!(Fraction::parse("25"), Some(fraction(25, 1)));
        assert_eq!(Fraction::parse("12.5"), Some(fraction(25, 2)));
        assert_eq!(Fraction::parse("30000/1001"), Some(fraction(30000, 1001)));
        for bad in ["", "0", "-1", "+5", "1/0", "x", "1.", "1.2345", "1e3", "25 "] {
            assert_eq!(Fraction::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn rates_display_short() {
        assert_eq!(fraction(25, 1).to_string(), "25");
        assert_eq!(fraction(30000, 1001).to_string(), "29.97");
        assert_eq!(fraction(25, 2).to_string(), "12.5");
        assert_eq!(fraction(100, 1).to_string(), "100");
    }

    #[test]
    fn ticks_become_nanoseconds() {
        let rtp = fraction(1, 90_000);
        assert_eq!(rtp.ticks_to_ns(90_000), Some(1_000_000_000));
        assert_eq!(rtp.ticks_to_ns(-45_000), Some(-500_000_000));
        assert_eq!(fraction(1, 1).ticks_to_ns(i64::MAX), None);
    }

    #[test]
    fn a_frame_has_a_length() {
        assert_eq!(fraction(25, 1).frame_ns(), 40_000_000);
        assert_eq!(fraction(30000, 1001).frame_ns(), 33_366_666);
    }
}
