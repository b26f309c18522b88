//! A camera's id, which is also the name of its directory.

use std::fmt;
use std::str::FromStr;

/// A camera's id: 1 to 63 bytes of `A-Z a-z 0-9 . _ -`, beginning with a letter, a digit or `_`.
///
/// The rule makes it a safe file name, and lets it fit `frame.meta` with a closing NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CameraId(Box<str>);

/// The text is not a valid camera id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no camera id ({problem}): expected 1 to 63 of A-Z a-z 0-9 . _ -, not beginning with . or -"
)]
pub struct InvalidCameraId {
    /// The rejected text.
    pub text: String,
    /// What is wrong with it.
    pub problem: CameraIdProblem,
}

/// Why a text is not a camera id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CameraIdProblem {
    /// It has no characters.
    #[error("empty")]
    Empty,
    /// It has more than [`CameraId::MAX_LEN`] bytes.
    #[error("too long")]
    TooLong,
    /// It begins with `.` or `-`.
    #[error("begins with . or -")]
    Start,
    /// It has a character that an id can't have.
    #[error("has another character")]
    Character,
}

impl CameraId {
    /// Longest id in bytes.
    pub const MAX_LEN: usize = 63;

    /// Checks an id.
    ///
    /// # Errors
    /// [`InvalidCameraId`] if the text breaks the rule.
    ///
    /// ```
    /// use vas_frame::{CameraId, CameraIdProblem};
    ///
    /// assert_eq!(CameraId::new("gate-1")?.as_str(), "gate-1");
    /// assert_eq!(CameraId::new("../etc").unwrap_err().problem, CameraIdProblem::Start);
    /// # Ok::<(), vas_frame::InvalidCameraId>(())
    /// ```
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidCameraId> {
        let text = text.into();
        let problem = if text.is_empty() {
            CameraIdProblem::Empty
        } else if text.len() > Self::MAX_LEN {
            CameraIdProblem::TooLong
        } else if text.starts_with(['.', '-']) {
            CameraIdProblem::Start
        } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            CameraIdProblem::Character
        } else {
            return Ok(Self(text.into()));
        };
        Err(InvalidCameraId { text, problem })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as the eight little-endian words of `frame.meta`, NUL-padded.
    pub(crate) fn to_words(&self) -> [u64; 8] {
        let mut bytes = [0u8; 64];
        bytes[..self.0.len()].copy_from_slice(self.0.as_bytes());
        std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|j| bytes[i * 8 + j])))
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for CameraId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for CameraId {
    type Err = InvalidCameraId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_file_names() {
        for good in ["a", "gate-1", "Hall_2.north", "9", "_x", &"x".repeat(63)] {
            assert_eq!(CameraId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", ".writer", "-rf", "a/b", "a b", "tor\u{e4}", &"x".repeat(64)] {
            assert!(CameraId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_id_fits_its_words_with_a_nul() {
        let words = CameraId::new("x".repeat(63)).unwrap().to_words();
        assert_eq!(words[0].to_le_bytes(), *b"xxxxxxxx");
        assert_eq!(words[7].to_le_bytes(), *b"xxxxxxx\0");
    }
}
