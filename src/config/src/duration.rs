//! Durations as people write them: `500ms`, `10s`, `1m`, `12h`, `7d`.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Why a string is no duration, or none in range.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DurationError {
    /// Not a whole number and a unit.
    #[error(
        "{typed:?} is no duration; expected a whole number and a unit, such as \"500ms\", \
         \"10s\", \"1m\", \"12h\" or \"7d\""
    )]
    Malformed {
        /// The string.
        typed: String,
    },
    /// A duration out of range.
    #[error("{typed:?} is out of range; expected {} to {}", Words(*least), Words(*most))]
    OutOfRange {
        /// The string.
        typed: String,
        /// The least allowed.
        least: Duration,
        /// The most allowed.
        most: Duration,
    },
}

/// Parses a whole number followed by `ms`, `s`, `m`, `h` or `d`, within `range`.
///
/// # Errors
/// Any other form, or a duration outside `range`.
pub fn parse(typed: &str, range: RangeInclusive<Duration>) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed { typed: typed.into() };
    let unit_at = typed.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
    let (number, unit) = typed.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| malformed())?;
    let duration = match unit.trim_start() {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        "h" => Duration::from_secs(number.saturating_mul(3600)),
        "d" => Duration::from_secs(number.saturating_mul(24 * 3600)),
        _ => return Err(malformed()),
    };
    if !range.contains(&duration) {
        let (least, most) = range.into_inner();
        return Err(DurationError::OutOfRange { typed: typed.into(), least, most });
    }
    Ok(duration)
}

/// Prints a duration in the form that [`parse`] reads, in the largest unit without a remainder.
#[derive(Debug, Clone, Copy)]
pub struct Words(pub Duration);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => write!(f, "0s"),
            ms if ms % 86_400_000 == 0 => write!(f, "{}d", ms / 86_400_000),
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(120);

    #[test]
    fn reads_whole_numbers_with_a_unit() {
        assert_eq!(parse("500ms", RANGE), Ok(Duration::from_millis(500)));
        assert_eq!(parse("10s", RANGE), Ok(Duration::from_secs(10)));
        assert_eq!(parse("10 s", RANGE), Ok(Duration::from_secs(10)));
        assert_eq!(parse("2m", RANGE), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn refuses_other_forms() {
        for bad in ["", "10", "s", "-1s", "1.5s", "1w", "1s 2", "99999999999999999999s"] {
            let words = parse(bad, RANGE).unwrap_err().to_string();
            assert!(
                words.contains("is no duration; expected a whole number and a unit"),
                "{words}"
            );
        }
    }

    #[test]
    fn says_the_range() {
        for bad in ["0s", "99ms", "3m", "18446744073709551615m"] {
            let words = parse(bad, RANGE).unwrap_err().to_string();
            assert_eq!(words, format!("{bad:?} is out of range; expected 100ms to 2m"));
        }
    }

    #[test]
    fn words_read_back() {
        for (ms, words) in [
            (500, "500ms"),
            (1000, "1s"),
            (1500, "1500ms"),
            (60_000, "1m"),
            (5_400_000, "90m"),
            (7_200_000, "2h"),
            (172_800_000, "2d"),
        ] {
            let duration = Duration::from_millis(ms);
            assert_eq!(Words(duration).to_string(), words);
            assert_eq!(parse(words, Duration::ZERO..=Duration::MAX), Ok(duration));
        }
    }
}
