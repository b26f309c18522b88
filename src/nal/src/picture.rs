//! Classifies the picture of an access unit.

use crate::bits::unescaped;
use crate::framing::{Framing, nals};
use crate::header::{NalCodec, NalHeader, NalKind, PictureKind};
use crate::slice::Slice;

/// The picture of an access unit, from its first slice and what comes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodedPicture {
    /// Its kind.
    pub kind: PictureKind,
    /// Whether the picture's first slice is present.
    pub begins: bool,
    /// Whether other pictures may refer to it ([`NalHeader::is_reference`]).
    pub is_reference: bool,
}

impl CodedPicture {
    /// Reads an access unit up to its first slice of the base layer; `None` if it has none.
    pub fn of(codec: NalCodec, framing: Framing, access_unit: &[u8]) -> Option<Self> {
        let mut recovery_point = false;
        for nal in nals(access_unit, framing) {
            if let Some(slice) = Slice::of(codec, nal) {
                let kind = match slice.picture() {
                    PictureKind::Other if recovery_point => PictureKind::RecoveryPoint,
                    kind => kind,
                };
                let (begins, is_reference) = (slice.begins_picture(), slice.is_reference());
                return Some(Self { kind, begins, is_reference });
            }
            recovery_point |= codec == NalCodec::H264 && has_recovery_point(nal);
        }
        None
    }

    /// Whether the picture decodes without any other.
    pub fn stands_alone(self) -> bool {
        self.kind.is_irap()
    }

    /// Whether a decoder can begin with it.
    pub fn is_key(self) -> bool {
        self.kind.is_irap() || self.kind == PictureKind::RecoveryPoint
    }
}

/// Whether an H.264 NAL unit is SEI with a recovery point (7.3.2.3.1, D.1.8).
fn has_recovery_point(nal: &[u8]) -> bool {
    const RECOVERY_POINT: u32 = 6;
    if !NalHeader::of(NalCodec::H264, nal).is_some_and(|header| header.kind == NalKind::Sei) {
        return false;
    }
    let mut bytes = unescaped(&nal[1..]);
    // A sum of bytes, up to and including the first that is not 255.
    fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<u32> {
        let mut sum = 0u32;
        loop {
            let byte = bytes.next()?;
            sum = sum.checked_add(u32::from(byte))?;
            if byte != 255 {
                return Some(sum);
            }
        }
    }
    loop {
        let Some(kind) = number(&mut bytes) else { return false };
        let Some(size) = number(&mut bytes) else { return false };
        if kind == RECOVERY_POINT && size > 0 {
            return true;
        }
        if size > 0 && bytes.nth(size as usize - 1).is_none() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::annex_b;
    use PictureKind::{Bla, Cra, Idr, Other, Radl, Rasl, RecoveryPoint};
    use proptest::prelude::*;

    fn picture264(nals: &[&[u8]]) -> Option<CodedPicture> {
        CodedPicture::of(NalCodec::H264, Framing::AnnexB, &annex_b(nals))
    }

    fn picture265(kind: u8, first_slice: bool) -> CodedPicture {
        let slice = [kind << 1, 1, u8::from(first_slice) << 7];
        let unit = annex_b(&[&[35 << 1, 1, 0x50], &slice]);
        CodedPicture::of(NalCodec::H265, Framing::AnnexB, &unit).unwrap()
    }

    #[test]
    fn h264_pictures() {
        let unit = |kind, begins, is_reference| Some(CodedPicture { kind, begins, is_reference });
        let (aud, sps) = (&[9, 0xf0][..], &[0x67, 66][..]);
        assert_eq!(picture264(&[aud, sps, &[0x65, 0x88]]), unit(Idr, true, true));
        assert_eq!(picture264(&[&[0x65, 0x08]]), unit(Idr, false, true));
        assert_eq!(picture264(&[aud, &[0x41, 0x9a]]), unit(Other, true, true));
        assert_eq!(picture264(&[&[0x01, 0x9e]]), unit(Other, true, false));
        assert_eq!(picture264(&[aud, sps]), None);
        // User data of 2 bytes, then the recovery point.
        let sei = &[6, 5, 2, 7, 7, 6, 1, 0xc4, 0x80][..];
        assert_eq!(picture264(&[sei, &[0x41, 0x9a]]), unit(RecoveryPoint, true, true));
        let other = &[6, 5, 2, 6, 1, 0x80][..];
        assert_eq!(picture264(&[other, &[0x41, 0x9a]]).unwrap().kind, Other);
        assert_eq!(picture264(&[&[6, 255], &[0x41, 0x9a]]).unwrap().kind, Other);
    }

    #[test]
    fn h265_pictures() {
        for (kinds, picture) in [
            (vec![0, 1, 4, 5], Other),
            (vec![6, 7], Radl),
            (vec![8, 9], Rasl),
            (vec![16, 17, 18], Bla),
            (vec![19, 20], Idr),
            (vec![21], Cra),
        ] {
            for kind in kinds {
                assert_eq!(picture265(kind, true).kind, picture, "{kind}");
                assert!(!picture265(kind, false).begins, "{kind}");
            }
        }
        assert!(picture265(1, true).is_reference && !picture265(0, true).is_reference);
        assert!(picture265(9, true).is_reference && !picture265(8, true).is_reference);
        assert!(picture265(16, true).is_reference, "BLA");
    }

    #[test]
    fn key_pictures_of_h265() {
        for kind in [16, 18, 19, 20, 21] {
            assert!(picture265(kind, true).is_key(), "{kind}");
        }
        for kind in [0, 1, 6, 8] {
            assert!(!picture265(kind, true).is_key(), "{kind}");
        }
    }

    #[test]
    fn slices_of_other_layers_are_skipped() {
        let unit = annex_b(&[&[1 << 1, 0b1001, 0x80], &[35 << 1, 1, 0x50]]);
        assert_eq!(CodedPicture::of(NalCodec::H265, Framing::AnnexB, &unit), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(data: Vec<u8>, width in 0u8..5) {
            let framing = if width == 0 { Framing::AnnexB } else { Framing::Lengths(width) };
            for codec in [NalCodec::H264, NalCodec::H265] {
                let _ = CodedPicture::of(codec, framing, &data);
            }
            let _ = has_recovery_point(&[&[6][..], &data].concat());
        }
    }
}
