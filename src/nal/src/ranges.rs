//! An access unit taken apart into its NAL units.

use std::ops::Range;

/// How NAL units lie in an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each after a start code (ITU-T H.264, annex B): from RTSP and raw files.
    AnnexB,
    /// Each after its length in so many bytes, 1 to 4 (ISO/IEC 14496-15, "avcC"): from MP4.
    Lengths(u8),
}

impl Framing {
    /// How access units are framed beside this configuration (FFmpeg's extradata).
    pub fn beside(configuration: &[u8]) -> Self {
        match configuration {
            // AVCDecoderConfigurationRecord: version 1; the fifth byte ends in the length's bytes less one.
            [1, _, _, _, lengths, ..] if configuration.len() >= 7 => {
                Self::Lengths((lengths & 3) + 1)
            }
            _ => Self::AnnexB,
        }
    }
}

/// `nal_unit_type` of a NAL unit (ITU-T H.264, table 7-1).
pub(crate) fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & 0x1f)
}

pub(crate) const SLICE: u8 = 1;
pub(crate) const IDR: u8 = 5;
pub(crate) const SPS: u8 = 7;
pub(crate) const PPS: u8 = 8;
pub(crate) const DELIMITER: u8 = 9;
pub(crate) const FILLER: u8 = 12;

/// An access unit that ends within a NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truncated;

/// Calls `each` with the place of each NAL unit that is not empty.
pub(crate) fn units(
    data: &[u8],
    framing: Framing,
    mut each: impl FnMut(Range<usize>),
) -> Result<(), Truncated> {
    match framing {
        Framing::AnnexB => {
            let mut begin = next_start_code(data, 0).map(|code| code + 3);
            while let Some(from) = begin {
                let code = next_start_code(data, from);
                // Zeros before a start code belong to it (trailing_zero_8bits, zero_byte): a NAL unit
                // ends in rbsp_trailing_bits, which are never zero as a byte.
                let end = code.unwrap_or(data.len());
                let unit = data.get(from..end).unwrap_or_default();
                let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                if length > 0 {
                    each(from..from + length);
                }
                begin = code.map(|code| code + 3);
            }
            Ok(())
        }
        Framing::Lengths(bytes) => {
            let mut at = 0;
            while at < data.len() {
                let from = at + usize::from(bytes);
                let length = data.get(at..from).ok_or(Truncated)?;
                let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                let end = from.checked_add(length).ok_or(Truncated)?;
                if end > data.len() {
                    return Err(Truncated);
                }
                if length > 0 {
                    each(from..end);
                }
                at = end;
            }
            Ok(())
        }
    }
}

/// Where the next `00 00 01` begins, from `from` on.
fn next_start_code(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 2;
    while let Some(&byte) = data.get(at) {
        match byte {
            // Only every third byte has to be looked at: above 1 it can be none of the three.
            2.. => at += 3,
            1 if data[at - 1] == 0 && data[at - 2] == 0 => return Some(at - 2),
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(data: &[u8], framing: Framing) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        units(data, framing, |unit| found.push(data[unit].to_vec())).unwrap();
        found
    }

    #[test]
    fn start_codes_of_three_and_four_bytes() {
        let data = [0, 0, 0, 1, 9, 0x10, 0, 0, 1, 5, 1, 2, 0, 0, 0, 0, 1, 6, 7, 0, 0];
        assert_eq!(found(&data, Framing::AnnexB), [vec![9, 0x10], vec![5, 1, 2], vec![6, 7]]);
        assert!(found(&[], Framing::AnnexB).is_empty());
        assert!(found(&[0, 0, 1], Framing::AnnexB).is_empty());
        assert!(found(&[1, 2, 3, 4], Framing::AnnexB).is_empty(), "no start code, no unit");
    }

    #[test]
    fn lengths_of_each_width() {
        assert_eq!(found(&[2, 5, 6, 0, 1, 7], Framing::Lengths(1)), [vec![5, 6], vec![7]]);
        assert_eq!(found(&[0, 0, 0, 1, 5], Framing::Lengths(4)), [vec![5]]);
        assert_eq!(units(&[0, 0, 0, 9, 5], Framing::Lengths(4), drop), Err(Truncated));
        assert_eq!(units(&[0, 0], Framing::Lengths(4), drop), Err(Truncated));
    }

    #[test]
    fn the_configuration_says_which() {
        assert_eq!(Framing::beside(&[1, 0x42, 0, 0x1f, 0xff, 0xe1, 0]), Framing::Lengths(4));
        assert_eq!(Framing::beside(&[0, 0, 0, 1, 0x67]), Framing::AnnexB);
        assert_eq!(Framing::beside(&[]), Framing::AnnexB);
    }

    proptest! {
        #[test]
        fn any_bytes_give_units_within_them(data: Vec<u8>, width in 0u8..5) {
            let framing = if width == 0 { Framing::AnnexB } else { Framing::Lengths(width) };
            let mut end = 0;
            let _ = units(&data, framing, |unit| {
                assert!(unit.start >= end && unit.end <= data.len() && !unit.is_empty());
                end = unit.end;
            });
        }

        #[test]
        fn units_come_back(units in prop::collection::vec(prop::collection::vec(1u8..4, 1..9), 0..9)) {
            let mut data = Vec::new();
            for unit in &units {
                data.extend_from_slice(&[0, 0, 1]);
                data.extend_from_slice(unit);
            }
            prop_assert_eq!(found(&data, Framing::AnnexB), units);
        }
    }
}
