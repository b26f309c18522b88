//! What is recorded, where, and how long it is kept.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::duration::{self, DurationError};

/// How a camera is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The folder that holds each camera's own, absolute.
    pub dir: PathBuf,
    /// The length of a file; it ends at the first key frame after that.
    pub segment: Duration,
    /// Whether sound is recorded too, if the camera sends any that can be.
    pub sound: bool,
    /// Which recordings are kept.
    pub keep: Keep,
}

/// Which of a camera's recordings are kept: those beyond a limit are deleted, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How long; `None`: as long as there is room.
    pub time: Option<Duration>,
    /// How many bytes; `None`: as many as there is room for.
    pub bytes: Option<u64>,
    /// How much must be left free on the disk.
    pub free_bytes: u64,
}

impl Record {
    /// Default of `segment`.
    pub const DEFAULT_SEGMENT: Duration = Duration::from_secs(60);
    /// A shorter file would be mostly header; a longer one would get its final name late.
    pub(super) const SEGMENTS: RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(3600);
}

impl Keep {
    /// The default: seven days, and 1 GiB of the disk left free.
    pub const DEFAULT: Self =
        Self { time: Some(Duration::from_secs(7 * 24 * 3600)), bytes: None, free_bytes: 1 << 30 };

    /// The word for no time limit.
    pub const FOREVER: &str = "forever";

    const TIMES: RangeInclusive<Duration> =
        Duration::from_secs(10)..=Duration::from_secs(3650 * 24 * 3600);

    pub(super) fn parse_time(typed: &str) -> Result<Option<Duration>, DurationError> {
        match typed {
            Self::FOREVER => Ok(None),
            _ => duration::parse(typed, Self::TIMES).map(Some),
        }
    }
}
