//! `testsrc:WIDTHxHEIGHT@FPS`: a generated picture in place of a camera.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use vas_request::Fraction;

/// Allowed width and height in pixels.
const SIDES: RangeInclusive<u32> = 16..=8192;

/// Highest allowed rate in frames a second.
const MAX_FPS: u32 = 240;

/// Size and rate of a generated picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestPattern {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Frames a second.
    pub fps: Fraction,
}

/// Why a string is no test pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TestPatternError {
    /// The string has another form.
    #[error("expected testsrc:WIDTHxHEIGHT@FPS, such as testsrc:1280x720@25")]
    Malformed,
    /// A width or height is no number in range, or odd.
    #[error(
        "{side} {typed:?} of the test picture is not an even number from {} to {}",
        SIDES.start(),
        SIDES.end()
    )]
    Side {
        /// `width` or `height`.
        side: &'static str,
        /// The value.
        typed: String,
    },
    /// The rate is no number in range.
    #[error(
        "rate {typed:?} of the test picture is not a number from 1 to {MAX_FPS}, nor a fraction \
         of two such as 30000/1001"
    )]
    Rate {
        /// The value.
        typed: String,
    },
}

impl FromStr for TestPattern {
    type Err = TestPatternError;

    /// Parses the part after `testsrc:`.
    fn from_str(typed: &str) -> Result<Self, TestPatternError> {
        let (size, fps) = typed.split_once('@').ok_or(TestPatternError::Malformed)?;
        let (width, height) = size.split_once('x').ok_or(TestPatternError::Malformed)?;
        Ok(Self {
            width: parse_side("width", width)?,
            height: parse_side("height", height)?,
            fps: parse_rate(fps)?,
        })
    }
}

fn parse_side(side: &'static str, typed: &str) -> Result<u32, TestPatternError> {
    parse_digits(typed)
        .filter(|pixels| SIDES.contains(pixels) && pixels % 2 == 0)
        .ok_or_else(|| TestPatternError::Side { side, typed: typed.into() })
}

fn parse_rate(typed: &str) -> Result<Fraction, TestPatternError> {
    let (frames, seconds) = typed.split_once('/').unwrap_or((typed, "1"));
    parse_digits(frames)
        .zip(parse_digits(seconds))
        .filter(|&(frames, seconds)| {
            // Exact, unlike a quotient: the rate lies in 1 to MAX_FPS.
            frames >= seconds && u64::from(frames) <= u64::from(seconds) * u64::from(MAX_FPS)
        })
        .and_then(|(frames, seconds)| Fraction::new(frames, seconds))
        .ok_or_else(|| TestPatternError::Rate { typed: typed.into() })
}

/// Parses decimal digits only: `str::parse` also takes a `+`.
fn parse_digits(typed: &str) -> Option<u32> {
    typed.bytes().all(|b| b.is_ascii_digit()).then(|| typed.parse().ok()).flatten()
}

impl fmt::Display for TestPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}@{}", self.width, self.height, self.fps.num())?;
        if self.fps.den() == 1 { Ok(()) } else { write!(f, "/{}", self.fps.den()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(typed: &str) -> String {
        typed.parse::<TestPattern>().unwrap_err().to_string()
    }

    #[test]
    fn reads_size_and_rate() {
        for typed in ["16x16@1", "8192x8192@240", "1280x720@25", "640x360@30000/1001"] {
            assert_eq!(typed.parse::<TestPattern>().unwrap().to_string(), typed);
        }
    }

    #[test]
    fn refuses_other_forms() {
        for typed in ["", "640x360", "640@25", "x@", "640:360@25"] {
            assert!(typed.parse::<TestPattern>().is_err(), "{typed}");
        }
        assert_eq!(
            refusal("640x360"),
            "expected testsrc:WIDTHxHEIGHT@FPS, such as testsrc:1280x720@25"
        );
    }

    #[test]
    fn refuses_sizes_out_of_range_and_odd_ones() {
        for typed in ["14x360@25", "8194x360@25", "641x360@25", "-2x360@25", "+640x360@25"] {
            assert!(refusal(typed).contains("width"), "{typed}");
        }
        assert_eq!(
            refusal("640x361@25"),
            "height \"361\" of the test picture is not an even number from 16 to 8192"
        );
    }

    #[test]
    fn refuses_rates_out_of_range() {
        for fps in ["0", "241", "1/0", "0/1", "1/2", "481/2", "25.0", "", "25/", "1/1/1"] {
            let words = refusal(&format!("640x360@{fps}"));
            assert!(words.contains(&format!("rate {fps:?}")), "{words}");
            assert!(words.contains("from 1 to 240"), "{words}");
        }
    }
}
