//! The maximum of a subscription.

use core::fmt;
use core::str::FromStr;

use crate::rate::{InvalidRate, Rate};

/// The most frames per second that a subscription may have.
///
/// This is a maximum, never a target: any number of frames may be missing, and missed frames are not
/// made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// The rate's numerator; zero without a rate.
    num: u32,
    /// The rate's denominator. Without a rate: zero for no maximum, one for an invalid one.
    den: u32,
    /// The rate's interval in nanoseconds, divided by two to the power of `shift`: precomputed, since
    /// each decision compares with it.
    interval: u32,
    pub(crate) stride: u16,
    /// The most frames in a second: the rate rounded up, capped at 255.
    pub(crate) most: u8,
    /// Above zero for intervals from 4.29 seconds on, which are rounded up by one part in 2^31 at
    /// most; [`NO_RATE`] without a rate.
    shift: i8,
}

const NO_RATE: i8 = -1;

impl Limit {
    /// No maximum: allows every frame.
    pub const UNLIMITED: Self = Self::without_rate(0);

    /// A maximum that is not a positive number: allows no frame.
    pub const INVALID: Self = Self::without_rate(1);

    const fn without_rate(den: u32) -> Self {
        Self { num: 0, den, interval: 0, stride: 0, most: 0, shift: NO_RATE }
    }

    /// At most `rate`.
    #[must_use]
    pub const fn at_most(rate: Rate) -> Self {
        let interval_ns = rate.interval_ns();
        let mut shift = 0;
        while interval_ns.div_ceil(1 << shift) > u32::MAX as u64 {
            shift += 1;
        }
        let most = if rate.whole() < u8::MAX as u32 { rate.whole() as u8 } else { u8::MAX };
        Self {
            num: rate.num(),
            den: rate.den(),
            interval: interval_ns.div_ceil(1 << shift) as u32,
            stride: 0,
            most,
            shift,
        }
    }

    /// At most `num / den` frames a second; [`INVALID`](Self::INVALID) when either is zero.
    #[must_use]
    pub const fn per_second(num: u32, den: u32) -> Self {
        match Rate::new(num, den) {
            Some(rate) => Self::at_most(rate),
            None => Self::INVALID,
        }
    }

    /// Adds a stride: a frame is also skipped if its id is less than `stride` above that of the last
    /// dispatched frame. A stride above 65,535 counts as 65,535.
    ///
    /// Ids count frames, not time, so a stride alone is not a maximum: a limit without a maximum stays
    /// unchanged.
    #[must_use]
    pub const fn with_stride(self, stride: u64) -> Self {
        if self.shift == NO_RATE {
            return self;
        }
        let stride = if stride < u16::MAX as u64 { stride as u16 } else { u16::MAX };
        Self { stride, ..self }
    }

    /// The maximum, if there is a valid one.
    #[must_use]
    pub const fn rate(&self) -> Option<Rate> {
        Rate::new(self.num, self.den)
    }

    /// The interval in nanoseconds, if there is a valid maximum.
    #[inline(always)]
    pub(crate) const fn interval_ns(&self) -> Option<u64> {
        if self.shift < 0 { None } else { Some((self.interval as u64) << (self.shift & 63)) }
    }

    pub(crate) const fn is_unlimited(&self) -> bool {
        self.num == 0 && self.den == 0
    }
}

impl From<Rate> for Limit {
    fn from(rate: Rate) -> Self {
        Self::at_most(rate)
    }
}

impl FromStr for Limit {
    type Err = InvalidRate;

    /// Parses a maximum in the format of [`Rate`].
    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        text.parse().map(Self::at_most)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rate(), self.stride) {
            (None, _) if self.is_unlimited() => f.write_str("unlimited"),
            (None, _) => f.write_str("invalid"),
            (Some(rate), 0) => write!(f, "{rate}"),
            (Some(rate), stride) => write!(f, "{rate}, stride {stride}"),
        }
    }
}
