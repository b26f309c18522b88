//! Ids of cameras and models.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// A camera's id, and that of its stream agent: the name of its folder in the export.
///
/// 1 to 63 bytes of `A-Z a-z 0-9 . _ -`, beginning with a letter, a digit or `_`, as in the export.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CameraId(Box<str>);

/// A model's id, under the same rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(Box<str>);

/// The text is not a valid id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidId {
    /// The rejected text.
    pub text: String,
}

impl CameraId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`InvalidId`] if the text breaks the rule.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        checked(text.into()).map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ModelId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`InvalidId`] if the text breaks the rule.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        checked(text.into()).map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn checked(text: String) -> Result<Box<str>, InvalidId> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=63).contains(&text.len()) && !text.starts_with(['.', '-']) && text.bytes().all(fits) {
        Ok(text.into())
    } else {
        Err(InvalidId { text })
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no id: expected 1 to 63 of A-Z a-z 0-9 . _ -, not beginning with . or -",
            self.text
        )
    }
}

impl core::error::Error for InvalidId {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn ids_are_those_of_the_export() {
        let longest = "x".repeat(63);
        for good in ["a", "gate-1", "Hall_2.north", "9", "_x", &longest] {
            assert_eq!(CameraId::new(good).unwrap().as_str(), good);
            assert_eq!(ModelId::new(good).unwrap().to_string(), good);
        }
        let too_long = "x".repeat(64);
        for bad in ["", ".", "..", ".writer", "-rf", "a/b", "a b", "tor\u{e4}", &too_long] {
            assert_eq!(CameraId::new(bad).unwrap_err().text, bad);
            assert!(ModelId::new(bad).unwrap_err().to_string().contains("1 to 63"));
        }
    }
}
