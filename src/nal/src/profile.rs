//! Profile and level of an H.264 stream, as named in SDP and WebRTC.

use std::fmt;

/// profile_idc, constraint flags and level_idc, as in SDP's `profile-level-id` (RFC 6184, 8.1). Its `Display` writes
/// six hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProfileLevelId(pub [u8; 3]);

/// The profiles of WebRTC (RFC 6184, table 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Constrained Baseline, which every browser decodes.
    ConstrainedBaseline,
    /// Baseline.
    Baseline,
    /// Main.
    Main,
    /// Constrained High.
    ConstrainedHigh,
    /// High.
    High,
}

impl ProfileLevelId {
    /// Reads a sequence parameter set, a NAL unit with its header; `None` if it is too short.
    pub fn of(sps: &[u8]) -> Option<Self> {
        // 7.3.2.1.1: the three bytes after the header.
        Some(Self(*sps.get(1..)?.first_chunk()?))
    }

    /// Reads six hexadecimal digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 6)?;
        let [_, bytes @ ..] = number.to_be_bytes();
        Some(Self(bytes))
    }

    /// The profile; `None` if WebRTC does not name it.
    pub fn profile(self) -> Option<Profile> {
        let [profile, flags, _] = self.0;
        match (profile, flags) {
            (0x42, flags) if flags & 0x4f == 0x40 => Some(Profile::ConstrainedBaseline),
            (0x4d, flags) if flags & 0x8f == 0x80 => Some(Profile::ConstrainedBaseline),
            (0x58, flags) if flags & 0xcf == 0xc0 => Some(Profile::ConstrainedBaseline),
            (0x42, flags) if flags & 0x4f == 0x00 => Some(Profile::Baseline),
            (0x58, flags) if flags & 0xcf == 0x80 => Some(Profile::Baseline),
            (0x4d, flags) if flags & 0xaf == 0x00 => Some(Profile::Main),
            (0x64, 0x00) => Some(Profile::High),
            (0x64, 0x0c) => Some(Profile::ConstrainedHigh),
            _ => None,
        }
    }
}

impl fmt::Display for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [profile, flags, level] = self.0;
        write!(f, "{profile:02x}{flags:02x}{level:02x}")
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConstrainedBaseline => "Constrained Baseline",
            Self::Baseline => "Baseline",
            Self::Main => "Main",
            Self::ConstrainedHigh => "Constrained High",
            Self::High => "High",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_by_their_flags() {
        let profile = |digits| ProfileLevelId::parse(digits).unwrap().profile();
        for constrained in ["42e01f", "42c01f", "42f00b", "4d8028", "58c00a"] {
            assert_eq!(profile(constrained), Some(Profile::ConstrainedBaseline), "{constrained}");
        }
        assert_eq!(profile("42001f"), Some(Profile::Baseline));
        assert_eq!(profile("4d401f"), Some(Profile::Main));
        assert_eq!(profile("64001f"), Some(Profile::High));
        assert_eq!(profile("640c34"), Some(Profile::ConstrainedHigh));
        assert_eq!(profile("7a001f"), None);
        assert_eq!(ProfileLevelId::parse("42e0"), None);
    }
}
