//! The first two fields of a slice header (ITU-T H.264, 7.3.3).

use crate::nal;

/// Whether a NAL unit is a slice of a B picture, which comes after pictures that are shown later: a
/// browser's decoder gives those out late or not at all.
pub(crate) fn is_b(unit: &[u8]) -> bool {
    if !matches!(nal::kind(unit), nal::SLICE) {
        return false;
    }
    let mut bits = Bits { bytes: unit.get(1..).unwrap_or_default(), at: 0 };
    let (Some(_first_macroblock), Some(kind)) = (bits.unsigned(), bits.unsigned()) else {
        return false;
    };
    // Table 7-6: 1 and 6 are B.
    kind % 5 == 1
}

/// Exp-Golomb codes out of a NAL unit's payload.
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    /// `bytes` is what follows the NAL unit's header.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn bit(&mut self) -> Option<bool> {
        // An emulation prevention byte (7.4.1.1) is no content.
        if self.at.is_multiple_of(8) {
            let byte = self.at / 8;
            if byte >= 2 && self.bytes.get(byte - 2..=byte) == Some(&[0, 0, 3]) {
                self.at += 8;
            }
        }
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `ue(v)` (9.1).
    pub(crate) fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let mut value = 1u32;
        for _ in 0..zeros {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb() {
        // 1 | 010 | 011 | 00100 | 1...
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_1000]);
        assert_eq!([(); 5].map(|()| bits.unsigned()), [0, 1, 2, 3, 0].map(Some));
        assert_eq!(bits.unsigned(), None);
    }

    #[test]
    fn emulation_prevention_is_left_out() {
        // 00 00 [03] 01 would be 23 zeros before the first one.
        let mut bits = Bits::new(&[0, 0, 3, 1, 0xff, 0xff, 0xff]);
        let expected = (1 << 23 | 0x7f_ffff) - 1;
        assert_eq!(bits.unsigned(), Some(expected));
    }

    #[test]
    fn kinds_of_slices() {
        // first_mb 0 (1), then slice_type: P 0 (1), B 1 (010), P 5 (00110), B 6 (00111), I 7 (0001000).
        assert!(!is_b(&[0x41, 0b1100_0000]));
        assert!(is_b(&[0x01, 0b1010_0000]));
        assert!(!is_b(&[0x41, 0b1001_1000]));
        assert!(is_b(&[0x01, 0b1001_1100]));
        assert!(!is_b(&[0x65, 0b1000_1000]), "an IDR has none");
        assert!(!is_b(&[0x41]) && !is_b(&[]));
    }
}
