//! The maximum of a subscription.

use core::fmt;
use core::str::FromStr;

use crate::rate::{InvalidRate, Rate};

/// How many frames a second a subscription may have at most.
///
/// It is a maximum and never a target: frames may stay away without limit, and what was missed is not
/// made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(pub(crate) Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Unlimited,
    /// With the rate's interval at hand, since it is compared with again and again.
    AtMost {
        rate: Rate,
        interval_ns: u64,
        stride: u64,
    },
    Invalid,
}

impl Limit {
    /// No maximum: every frame.
    pub const UNLIMITED: Self = Self(Kind::Unlimited);

    /// A maximum that is no positive number: no frame.
    pub const INVALID: Self = Self(Kind::Invalid);

    /// At most `rate`.
    #[must_use]
    pub const fn at_most(rate: Rate) -> Self {
        Self(Kind::AtMost { rate, interval_ns: rate.interval_ns(), stride: 0 })
    }

    /// At most `num / den` frames a second; [`INVALID`](Self::INVALID) when either is zero.
    #[must_use]
    pub const fn per_second(num: u32, den: u32) -> Self {
        match Rate::new(num, den) {
            Some(rate) => Self::at_most(rate),
            None => Self::INVALID,
        }
    }

    /// The same maximum, and beside it no frame whose id is less than `stride` above that of the last
    /// one dispatched.
    ///
    /// Ids count frames and not time, so a stride is no maximum by itself: without one there is nothing
    /// for it to stand beside, and the limit stays as it is.
    #[must_use]
    pub const fn with_stride(self, stride: u64) -> Self {
        match self.0 {
            Kind::AtMost { rate, interval_ns, .. } => {
                Self(Kind::AtMost { rate, interval_ns, stride })
            }
            Kind::Unlimited | Kind::Invalid => self,
        }
    }

    /// The maximum, if there is a valid one.
    #[must_use]
    pub const fn rate(&self) -> Option<Rate> {
        match self.0 {
            Kind::AtMost { rate, .. } => Some(rate),
            Kind::Unlimited | Kind::Invalid => None,
        }
    }
}

impl From<Rate> for Limit {
    fn from(rate: Rate) -> Self {
        Self::at_most(rate)
    }
}

impl FromStr for Limit {
    type Err = InvalidRate;

    /// A maximum as [`Rate`] reads it.
    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        text.parse().map(Self::at_most)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Unlimited => f.write_str("unlimited"),
            Kind::Invalid => f.write_str("invalid"),
            Kind::AtMost { rate, stride: 0, .. } => write!(f, "{rate}"),
            Kind::AtMost { rate, stride, .. } => write!(f, "{rate}, stride {stride}"),
        }
    }
}
