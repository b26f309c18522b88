//! Permission bits of exported files.

use std::fmt;
use std::str::FromStr;

/// Permission bits of a camera's files. Where a file has read permission, its folder has search
/// permission.
///
/// Only owner and group may have access: frames are pictures of people, so a mode that lets
/// everyone on the host read them is rejected; a group gives access to those who need it. Only the
/// owner may write, since the service is the sole writer (contract P2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

/// Why a string is no mode for exported files.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileModeError {
    /// Not three or four octal digits.
    #[error("{typed:?} is no file mode; expected octal digits such as \"0640\"")]
    Malformed {
        /// The string.
        typed: String,
    },
    /// Everyone would have access.
    #[error(
        "{typed:?} gives every user of this machine access to the pictures; end the mode in 0 \
         and set `group` for those who may read"
    )]
    Others {
        /// The string.
        typed: String,
    },
    /// The owner could not write, others could, or files would be executable.
    #[error("{typed:?} does not fit frames; expected \"0640\" (group may read) or \"0600\"")]
    Unfit {
        /// The string.
        typed: String,
    },
}

impl FileMode {
    /// `0640`: the owner writes, the group reads.
    pub const DEFAULT: Self = Self(0o640);

    /// The bits, as `chmod` takes them.
    pub fn file_bits(self) -> u32 {
        self.0
    }
}

impl FromStr for FileMode {
    type Err = FileModeError;

    fn from_str(typed: &str) -> Result<Self, FileModeError> {
        let octal = |b: u8| matches!(b, b'0'..=b'7');
        let bits = match u32::from_str_radix(typed, 8) {
            Ok(bits) if (3..=4).contains(&typed.len()) && typed.bytes().all(octal) => bits,
            _ => return Err(FileModeError::Malformed { typed: typed.into() }),
        };
        match bits {
            0o600 | 0o640 => Ok(Self(bits)),
            _ if bits & 0o007 != 0 => Err(FileModeError::Others { typed: typed.into() }),
            _ => Err(FileModeError::Unfit { typed: typed.into() }),
        }
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileMode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(typed: &str) -> String {
        typed.parse::<FileMode>().unwrap_err().to_string()
    }

    #[test]
    fn accepts_owner_and_group() {
        for (typed, bits) in [("0640", 0o640), ("640", 0o640), ("0600", 0o600)] {
            assert_eq!(typed.parse::<FileMode>().unwrap().file_bits(), bits);
        }
    }

    #[test]
    fn refuses_access_for_everybody() {
        for typed in ["0644", "0666", "0641"] {
            assert!(refusal(typed).contains("every user of this machine"), "{typed}");
            assert!(refusal(typed).contains("set `group`"), "{typed}");
        }
    }

    #[test]
    fn refuses_modes_that_do_not_fit() {
        for typed in ["0660", "0740", "0440", "0000", "4640"] {
            assert!(refusal(typed).contains("\"0640\" (group may read) or \"0600\""), "{typed}");
        }
    }

    #[test]
    fn refuses_what_is_no_octal_number() {
        for typed in ["", "rw-r-----", "0o640", "640 ", "0688", "40", "00640", "+640"] {
            assert!(refusal(typed).contains("is no file mode"), "{typed}");
        }
    }
}
