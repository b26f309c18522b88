//! Parameter sets: kept, so that they can go before each key frame.

use std::fmt;

use crate::nal::{self, Framing, Truncated};
use crate::slice::Bits;

/// The parameter sets of a stream, the newest of each id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets {
    sequence: Vec<(u32, Vec<u8>)>,
    picture: Vec<(u32, Vec<u8>)>,
}

impl ParameterSets {
    /// Most ids of each kind that are kept. H.264 has 32 and 256; cameras use one or two.
    const MOST: usize = 16;

    /// Those in `configuration`: FFmpeg's extradata, "avcC" or Annex B.
    ///
    /// `None` when it ends within one.
    pub fn of(configuration: &[u8]) -> Option<Self> {
        let mut sets = Self::default();
        match Framing::beside(configuration) {
            Framing::AnnexB => {
                nal::units(configuration, Framing::AnnexB, |unit| sets.keep(&configuration[unit]))
                    .ok()?;
            }
            Framing::Lengths(_) => sets.keep_record(configuration).ok()?,
        }
        Some(sets)
    }

    /// AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
    fn keep_record(&mut self, record: &[u8]) -> Result<(), Truncated> {
        let mut at = 5;
        for mask in [0x1f, 0xff] {
            let count = record.get(at).ok_or(Truncated)? & mask;
            at += 1;
            for _ in 0..count {
                let &[high, low] = record.get(at..at + 2).ok_or(Truncated)? else {
                    return Err(Truncated);
                };
                let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
                self.keep(record.get(at + 2..end).ok_or(Truncated)?);
                at = end;
            }
        }
        Ok(())
    }

    /// Keeps a NAL unit if it is a parameter set, in place of the one with its id.
    pub(crate) fn keep(&mut self, unit: &[u8]) {
        let (sets, id) = match nal::kind(unit) {
            // profile_idc, constraint flags and level_idc stand before the id.
            nal::SPS if unit.len() >= 4 => (&mut self.sequence, Bits::new(&unit[4..]).unsigned()),
            nal::PPS => (&mut self.picture, Bits::new(&unit[1..]).unsigned()),
            _ => return,
        };
        let Some(id) = id else { return };
        match sets.iter().position(|(known, _)| *known == id) {
            Some(place) if sets[place].1 == unit => {}
            Some(place) => unit.clone_into(&mut sets[place].1),
            None if sets.len() < Self::MOST => sets.push((id, unit.to_vec())),
            None => {}
        }
    }

    /// Whether a decoder could begin with them.
    pub fn are_complete(&self) -> bool {
        !self.sequence.is_empty() && !self.picture.is_empty()
    }

    /// How many units [`unit`](Self::unit) knows.
    pub(crate) fn count(&self) -> usize {
        self.sequence.len() + self.picture.len()
    }

    /// A set by its place in the order in which they are sent.
    pub(crate) fn unit(&self, place: usize) -> &[u8] {
        let mut all = self.sequence.iter().chain(&self.picture);
        all.nth(place).map_or(&[], |(_, unit)| unit)
    }

    /// What the first sequence parameter set says of profile and level.
    pub fn profile_level_id(&self) -> Option<ProfileLevelId> {
        let (_, unit) = self.sequence.first()?;
        Some(ProfileLevelId(unit.get(1..4)?.try_into().ok()?))
    }
}

/// profile_idc, constraint flags and level_idc, as SDP's `profile-level-id` has them (RFC 6184, 8.1);
/// displays as six hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProfileLevelId(pub [u8; 3]);

/// The profiles that WebRTC knows (RFC 6184, table 5).
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
    /// Reads six hexadecimal digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 6)?;
        let [_, bytes @ ..] = number.to_be_bytes();
        Some(Self(bytes))
    }

    /// Its profile; `None` for one that WebRTC has no name for.
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

    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0x95];
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

    fn annex_b(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
    }

    #[test]
    fn both_kinds_of_configuration_say_the_same() {
        let record = [&[1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 5][..], SPS, &[1, 0, 4], PPS].concat();
        let sets = ParameterSets::of(&record).unwrap();
        assert_eq!(Some(&sets), ParameterSets::of(&annex_b(&[SPS, PPS])).as_ref());
        assert!(sets.are_complete());
        assert_eq!([sets.unit(0), sets.unit(1)], [SPS, PPS]);
        assert_eq!(sets.profile_level_id().unwrap().to_string(), "42c01f");
        assert_eq!(ParameterSets::of(&record[..record.len() - 1]), None);
    }

    #[test]
    fn the_newest_of_an_id_is_kept() {
        let mut sets = ParameterSets::of(&annex_b(&[SPS, PPS])).unwrap();
        let other = [0x67, 0x4d, 0x00, 0x28, 0x95];
        sets.keep(&other);
        sets.keep(&[0x65, 1]);
        sets.keep(&[0x67]);
        assert_eq!(sets.count(), 2);
        assert_eq!(sets.profile_level_id().unwrap().to_string(), "4d0028");
    }

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
