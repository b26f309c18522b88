//! Splits access units into NAL units.

use std::iter::FusedIterator;
use std::ops::Range;

use crate::header::NalCodec;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What separates the NAL units of an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A start code before each (annex B): RTSP and raw files.
    AnnexB,
    /// A big-endian length of this many bytes before each (ISO/IEC 14496-15): MP4. Clamped to 1 to 4.
    Lengths(u8),
}

impl Framing {
    /// The framing of a stream with this configuration (FFmpeg's extradata). A decoder configuration record (avcC,
    /// hvcC) begins with its version, 1; parameter sets in Annex B begin with a start code.
    pub fn of(codec: NalCodec, configuration: &[u8]) -> Self {
        // The byte whose last two bits are lengthSizeMinusOne.
        let length_at = match codec {
            NalCodec::H264 => 4,
            NalCodec::H265 => 21,
        };
        match configuration.first() {
            Some(1) => {
                Self::Lengths(configuration.get(length_at).map_or(4, |byte| (byte & 0b11) + 1))
            }
            _ => Self::AnnexB,
        }
    }
}

/// An access unit that ends within a NAL unit, or within a length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access unit ends within a NAL unit, of which only bytes {} to {} are present", rest.start, rest.end)]
pub struct Truncated {
    /// The bytes of the NAL unit that are present.
    pub rest: Range<usize>,
}

/// The byte ranges of an access unit's NAL units, in order, without start codes or lengths. Skips empty NAL units.
///
/// With lengths, the last item may be [`Truncated`]. Annex B states no lengths, so a missing end can't be detected.
pub fn ranges(data: &[u8], framing: Framing) -> Ranges<'_> {
    let at = match framing {
        Framing::AnnexB => start_code(data, 0).map(|code| code + 3),
        Framing::Lengths(_) => Some(0),
    };
    Ranges { data, framing, at }
}

/// The iterator that [`ranges`] returns.
#[derive(Clone, Debug)]
pub struct Ranges<'a> {
    data: &'a [u8],
    framing: Framing,
    /// Where the next NAL unit or its length begins; `None` at the end.
    at: Option<usize>,
}

impl Iterator for Ranges<'_> {
    type Item = Result<Range<usize>, Truncated>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.at.take()?;
            let found = match self.framing {
                Framing::AnnexB => {
                    let code = start_code(self.data, at);
                    self.at = code.map(|code| code + 3);
                    Ok(at..without_trailing_zeros(self.data, at..code.unwrap_or(self.data.len())))
                }
                Framing::Lengths(bytes) => {
                    let found = after_length(self.data, at, bytes)?;
                    self.at = found.as_ref().ok().map(|nal| nal.end);
                    found
                }
            };
            if !found.as_ref().is_ok_and(Range::is_empty) {
                return Some(found);
            }
        }
    }
}

impl FusedIterator for Ranges<'_> {}

/// The NAL units of an access unit, in order, without start codes or lengths. Of one that is [`Truncated`], returns
/// the bytes that are present.
pub fn nals(data: &[u8], framing: Framing) -> impl Iterator<Item = &[u8]> {
    ranges(data, framing)
        .map(|range| &data[range.unwrap_or_else(|truncated| truncated.rest)])
        .filter(|nal| !nal.is_empty())
}

/// Replaces the four-byte lengths before NAL units by start codes, and calls `each` with every unit. If a length
/// exceeds what follows, the rest of the data is the last unit.
///
/// ```
/// let mut data = [0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 1, 7];
/// vas_nal::start_codes_over_lengths(&mut data, |_| {});
/// assert_eq!(data, [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 7]);
/// ```
pub fn start_codes_over_lengths(data: &mut [u8], mut each: impl FnMut(&[u8])) {
    let mut at = 0;
    while let Some(found) = after_length(data, at, 4) {
        let nal = found.unwrap_or_else(|truncated| truncated.rest);
        let Some(length) = data.get_mut(at..at + START_CODE.len()) else { return };
        length.copy_from_slice(&START_CODE);
        each(&data[nal.clone()]);
        at = nal.end;
    }
}

/// Joins NAL units in Annex B, each after a start code of four bytes.
pub fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| START_CODE.iter().chain(*nal)).copied().collect()
}

/// The NAL unit after the length at `at`; `None` at the end of the data.
fn after_length(data: &[u8], at: usize, bytes: u8) -> Option<Result<Range<usize>, Truncated>> {
    let rest = data.get(at..).filter(|rest| !rest.is_empty())?;
    let truncated = |from| Some(Err(Truncated { rest: from..data.len() }));
    let Some((length, rest)) = rest.split_at_checked(usize::from(bytes.clamp(1, 4))) else {
        return truncated(data.len());
    };
    let from = data.len() - rest.len();
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    if length > rest.len() {
        return truncated(from);
    }
    Some(Ok(from..from + length))
}

/// Where a NAL unit ends. Zeros before a start code belong to the code (zero_byte, trailing_zero_8bits): a NAL unit
/// ends with rbsp_trailing_bits or with cabac_zero_words and emulation prevention, never with a zero byte (7.4.1).
fn without_trailing_zeros(data: &[u8], nal: Range<usize>) -> usize {
    let last = data[nal.clone()].iter().rposition(|byte| *byte != 0);
    last.map_or(nal.start, |last| nal.start + last + 1)
}

/// Where the first `00 00 01` at or after `from` begins. Skips two bytes of three where it can.
fn start_code(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 2;
    while let Some(&byte) = data.get(at) {
        match byte {
            0 => at += 1,
            1 if data[at - 1] == 0 && data[at - 2] == 0 => return Some(at - 2),
            _ => at += 3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(data: &[u8], framing: Framing) -> Vec<&[u8]> {
        nals(data, framing).collect()
    }

    fn complete(data: &[u8], framing: Framing) -> Vec<Vec<u8>> {
        ranges(data, framing).map(|range| data[range.unwrap()].to_vec()).collect()
    }

    fn end(data: &[u8], framing: Framing) -> Result<(), Truncated> {
        ranges(data, framing).try_for_each(|range| range.map(drop))
    }

    #[test]
    fn start_codes_of_three_and_four_bytes() {
        let data = [0, 0, 0, 1, 0x67, 9, 0, 0, 1, 0x68, 0, 0, 0, 1, 0x65, 1, 0, 2];
        // The first zero of a four-byte start code is not part of the unit before it.
        assert_eq!(list(&data, Framing::AnnexB), [&[0x67, 9][..], &[0x68], &[0x65, 1, 0, 2]]);
        assert!(list(&[7, 7, 7], Framing::AnnexB).is_empty());
        let data = [0, 0, 0, 1, 9, 0x10, 0, 0, 1, 5, 1, 2, 0, 0, 0, 0, 1, 6, 7, 0, 0];
        assert_eq!(complete(&data, Framing::AnnexB), [vec![9, 0x10], vec![5, 1, 2], vec![6, 7]]);
        assert!(complete(&[], Framing::AnnexB).is_empty());
        assert!(complete(&[0, 0, 1], Framing::AnnexB).is_empty());
        assert!(complete(&[1, 2, 3, 4], Framing::AnnexB).is_empty(), "no start code, no unit");
    }

    #[test]
    fn start_codes_are_found_at_every_alignment() {
        for before in 0..9 {
            let mut data = vec![0, 0, 1, 9];
            data.extend(std::iter::repeat_n(5, before));
            data.extend([0, 0, 1, 8]);
            assert_eq!(list(&data, Framing::AnnexB).last(), Some(&&[8][..]), "{before}");
        }
    }

    #[test]
    fn lengths_of_each_width() {
        let data = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 9, 0x41];
        assert_eq!(list(&data, Framing::Lengths(4)), [&[0x65, 1][..], &[0x41]]);
        assert_eq!(list(&[1, 7, 1, 8], Framing::Lengths(1)), [[7], [8]]);
        assert!(list(&[0, 0], Framing::Lengths(4)).is_empty());
        assert_eq!(complete(&[2, 5, 6, 0, 1, 7], Framing::Lengths(1)), [vec![5, 6], vec![7]]);
        assert_eq!(complete(&[0, 0, 0, 1, 5], Framing::Lengths(4)), [vec![5]]);
    }

    #[test]
    fn truncated_units_are_reported() {
        assert_eq!(end(&[0, 0, 0, 1, 5], Framing::Lengths(4)), Ok(()));
        let unit = Truncated { rest: 4..5 };
        assert_eq!(end(&[0, 0, 0, 9, 5], Framing::Lengths(4)), Err(unit.clone()));
        assert_eq!(end(&[0, 0], Framing::Lengths(4)), Err(Truncated { rest: 2..2 }));
        assert!(unit.to_string().contains("bytes 4 to 5"), "{unit}");
    }

    #[test]
    fn framing_follows_the_configuration() {
        let h264 = |configuration: &[u8]| Framing::of(NalCodec::H264, configuration);
        assert_eq!(h264(&[]), Framing::AnnexB);
        assert_eq!(h264(&[0, 0, 0, 1, 0x67]), Framing::AnnexB);
        assert_eq!(h264(&[1, 77, 0, 30, 0xff]), Framing::Lengths(4));
        assert_eq!(h264(&[1, 77, 0, 30, 0xfd]), Framing::Lengths(2));
        assert_eq!(h264(&[1, 0x42, 0, 0x1f, 0xff, 0xe1, 0]), Framing::Lengths(4));
        let mut record = [1; 23];
        record[21] = 0xfc;
        assert_eq!(Framing::of(NalCodec::H265, &record), Framing::Lengths(1));
    }

    #[test]
    fn lengths_become_start_codes() {
        let mut data = vec![0, 0, 0, 2, 9, 9, 0, 0, 0, 1, 7];
        let mut units = Vec::new();
        start_codes_over_lengths(&mut data, |nal| units.push(nal.to_vec()));
        assert_eq!(data, [0, 0, 0, 1, 9, 9, 0, 0, 0, 1, 7]);
        assert_eq!(units, [&[9, 9][..], &[7]]);
        let mut torn = vec![0, 0, 0, 9, 1];
        start_codes_over_lengths(&mut torn, |_| {});
        assert_eq!(torn, [0, 0, 0, 1, 1]);
        let mut empty = vec![0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0, 2];
        start_codes_over_lengths(&mut empty, |_| {});
        assert_eq!(empty, [0, 0, 0, 1, 0, 0, 0, 1, 7, 0, 0, 0, 1]);
        start_codes_over_lengths(&mut [0, 0], |_| panic!("there is no unit"));
    }

    proptest! {
        #[test]
        fn ranges_stay_within_any_data(data: Vec<u8>, width: u8) {
            let framing = if width == 0 { Framing::AnnexB } else { Framing::Lengths(width - 1) };
            let mut end = 0;
            for range in ranges(&data, framing) {
                let whole = range.is_ok();
                let unit = range.unwrap_or_else(|truncated| truncated.rest);
                assert!(unit.start >= end && unit.end <= data.len());
                assert!(!whole || !unit.is_empty());
                end = unit.end;
            }
            let is_some = |range: &Result<_, Truncated>| !range.as_ref().is_err_and(|cut| cut.rest.is_empty());
            assert_eq!(nals(&data, framing).count(), ranges(&data, framing).filter(is_some).count());
        }

        #[test]
        fn splitting_reverses_joining(units in prop::collection::vec(prop::collection::vec(1u8..4, 1..9), 0..9)) {
            let mut data = Vec::new();
            for unit in &units {
                data.extend_from_slice(&[0, 0, 1]);
                data.extend_from_slice(unit);
            }
            prop_assert_eq!(complete(&data, Framing::AnnexB), units);
        }

        #[test]
        fn both_framings_hold_the_same_units(
            units in prop::collection::vec(prop::collection::vec(1u8..4, 1..9), 0..9)
        ) {
            let length = |unit: &Vec<u8>| u32::try_from(unit.len()).unwrap().to_be_bytes();
            let mut data: Vec<u8> =
                units.iter().flat_map(|unit| [&length(unit)[..], unit].concat()).collect();
            prop_assert_eq!(complete(&data, Framing::Lengths(4)), units.clone());
            start_codes_over_lengths(&mut data, |_| {});
            prop_assert_eq!(complete(&data, Framing::AnnexB), units);
        }
    }
}
