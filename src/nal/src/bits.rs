//! Reads the payload of a NAL unit bit by bit.

/// The bytes of a NAL unit without emulation prevention bytes: each `03` after `00 00` (7.4.1).
pub fn unescaped(nal: &[u8]) -> impl Iterator<Item = u8> {
    Unescaped { bytes: nal.iter(), zeros: 0 }
}

struct Unescaped<'a> {
    bytes: std::slice::Iter<'a, u8>,
    /// Zeros before the next byte; counts to 2.
    zeros: u8,
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let mut byte = *self.bytes.next()?;
        if self.zeros == 2 && byte == 3 {
            self.zeros = 0;
            byte = *self.bytes.next()?;
        }
        self.zeros = if byte == 0 { (self.zeros + 1).min(2) } else { 0 };
        Some(byte)
    }
}

/// Reads single bits and Exp-Golomb codes from a NAL unit's payload.
pub(crate) struct Bits<'a> {
    bytes: Unescaped<'a>,
    byte: u8,
    /// Bits of `byte` that are not read yet.
    left: u8,
}

impl<'a> Bits<'a> {
    /// `bytes` is what follows the NAL unit's header.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Unescaped { bytes: bytes.iter(), zeros: 0 }, byte: 0, left: 0 }
    }

    /// `u(1)`.
    pub(crate) fn bit(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.byte = self.bytes.next()?;
            self.left = 8;
        }
        self.left -= 1;
        Some(self.byte >> self.left & 1 == 1)
    }

    /// `ue(v)` (H.264 9.1, H.265 9.2).
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
    use proptest::prelude::*;

    #[test]
    fn exp_golomb() {
        // 1 | 010 | 011 | 00100 | 1...
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_1000]);
        assert_eq!([(); 5].map(|()| bits.unsigned()), [0, 1, 2, 3, 0].map(Some));
        assert_eq!(bits.unsigned(), None);
    }

    #[test]
    fn emulation_prevention_is_removed() {
        // 00 00 [03] 01 would be 23 zeros before the first one.
        let mut bits = Bits::new(&[0, 0, 3, 1, 0xff, 0xff, 0xff]);
        let expected = (1 << 23 | 0x7f_ffff) - 1;
        assert_eq!(bits.unsigned(), Some(expected));
        let plain: Vec<_> = unescaped(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]).collect();
        assert_eq!(plain, [1, 0, 0, 1, 0, 0, 0, 0, 3]);
        assert_eq!(unescaped(&[7, 0, 0, 3]).collect::<Vec<_>>(), [7, 0, 0], "cabac_zero_words");
    }

    proptest! {
        #[test]
        fn unescaping_reverses_escaping(plain in prop::collection::vec(0u8..5, 0..64)) {
            let mut escaped = Vec::new();
            for &byte in &plain {
                if byte <= 3 && escaped.ends_with(&[0, 0]) {
                    escaped.push(3);
                }
                escaped.push(byte);
            }
            prop_assert_eq!(unescaped(&escaped).collect::<Vec<_>>(), plain);
        }

        #[test]
        fn any_bytes_are_read_to_their_end(data: Vec<u8>) {
            let mut bits = Bits::new(&data);
            let mut read = 0;
            while bits.bit().is_some() {
                read += 1;
            }
            prop_assert_eq!(read, 8 * unescaped(&data).count());
            let mut bits = Bits::new(&data);
            while bits.unsigned().is_some() {}
        }
    }
}
