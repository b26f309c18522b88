//! What is recorded, where, and how long it is kept.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::duration::{self, DurationError};

/// How a camera is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Folder in which each camera has its own, absolute.
    pub dir: PathBuf,
    /// How long a file is; it ends at the first key frame after that.
    pub segment: Duration,
    /// Whether sound is recorded, too, where the camera sends some that can be.
    pub sound: bool,
    /// What of it is kept.
    pub keep: Keep,
}

/// What of a camera's recordings is kept: what breaks one of these is deleted, the oldest first.
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
    /// `segment` where it is not set.
    pub const DEFAULT_SEGMENT: Duration = Duration::from_secs(60);
    /// A file for less would be little but its own beginning; of a longer one a crash-proof name comes late.
    pub(super) const SEGMENTS: RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(3600);
}

impl Keep {
    /// What is kept where nothing is set: seven days, and 1 GiB of the disk left free.
    pub const DEFAULT: Self =
        Self { time: Some(Duration::from_secs(7 * 24 * 3600)), bytes: None, free_bytes: 1 << 30 };

    /// What stands for no limit of time.
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
