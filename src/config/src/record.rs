//! What is recorded, where, and how long it is kept.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::duration::{self, DurationError};

/// How a camera is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Folder in which each camera has its own, absolute.
    pub(crate) dir: PathBuf,
    /// How long a file is; it ends at the first key frame after that.
    pub(crate) segment: Duration,
    /// Whether sound is recorded, too, where the camera sends some that can be.
    pub(crate) sound: bool,
    /// What of it is kept.
    pub(crate) keep: Keep,
}

/// What of a camera's recordings is kept: what breaks one of these is deleted, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// How long; `None`: as long as there is room.
    pub(crate) time: Option<Duration>,
    /// How many bytes; `None`: as many as there is room for.
    pub(crate) bytes: Option<u64>,
    /// How much must be left free on the disk.
    pub(crate) free_bytes: u64,
}

impl Record {
    pub(crate) const DEFAULT_SEGMENT: Duration = Duration::from_secs(60);
    /// A file for less would be little but its own beginning; of a longer one a crash-proof name comes late.
    pub(super) const SEGMENTS: RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(3600);
}

impl Keep {
    pub(crate) const DEFAULT: Self =
        Self { time: Some(Duration::from_secs(7 * 24 * 3600)), bytes: None, free_bytes: 1 << 30 };

    /// What stands for no limit of time.
    pub(crate) const FOREVER: &str = "forever";

    const TIMES: RangeInclusive<Duration> =
        Duration::from_secs(10)..=Duration::from_secs(3650 * 24 * 3600);

    pub(super) fn parse_time(typed: &str) -> Result<Option<Duration>, DurationError> {
        match typed {
            Self::FOREVER => Ok(None),
            _ => duration::parse(typed, Self::TIMES).map(Some),
        }
    }
}
