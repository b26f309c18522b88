//! What kind of picture an access unit holds. Pure.

use super::nal::{Framing, nals, unescaped};
use crate::stream::Codec;

/// A coded picture by what may be decoded before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    /// Decoding may begin here, and nothing behind refers to anything before: an IDR picture, or any picture
    /// of a codec without references.
    Idr,
    /// H.265: decoding may begin here; the RASL pictures behind refer to what was before.
    Cra,
    /// H.265: like CRA, and what its RASL pictures refer to is not there.
    Bla,
    /// H.265: shown before its CRA or BLA picture, and may refer to what was before that.
    Rasl,
    /// H.265: shown before its CRA, BLA or IDR picture, and refers to nothing before that.
    Radl,
    /// H.264: a decoder may begin here, and is right some pictures later (recovery point SEI).
    RecoveryPoint,
    /// Any other.
    Other,
}

/// An access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) picture: Picture,
    /// Whether the picture's first slice is there.
    pub(crate) begins: bool,
    /// Whether other pictures may refer to it.
    pub(crate) reference: bool,
}

impl Unit {
    /// Whether it decodes without any other.
    pub(crate) fn stands_alone(self) -> bool {
        matches!(self.picture, Picture::Idr | Picture::Cra | Picture::Bla)
    }

    /// Whether a decoder can begin with it.
    pub(crate) fn is_key(self) -> bool {
        use Picture::{Bla, Cra, Idr, RecoveryPoint};
        matches!(self.picture, Idr | Cra | Bla | RecoveryPoint)
    }
}

/// Looks into the packets of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Units {
    H264(Framing),
    H265(Framing),
    /// A codec that is not looked into: its key frames are taken for IDR pictures.
    Opaque,
}

impl Units {
    /// For a stream of `codec` with this extradata.
    pub(crate) fn of(codec: &Codec, extradata: &[u8]) -> Self {
        match codec {
            Codec::H264 => Self::H264(Framing::of(extradata, 4)),
            Codec::H265 => Self::H265(Framing::of(extradata, 21)),
            _ => Self::Opaque,
        }
    }

    /// Looks at a packet as far as its first slice. `key` is what the packet says of itself.
    pub(crate) fn look(self, data: &[u8], key: bool) -> Unit {
        match self {
            Self::H264(framing) => h264(data, framing),
            Self::H265(framing) => h265(data, framing),
            Self::Opaque => Unit {
                picture: if key { Picture::Idr } else { Picture::Other },
                begins: true,
                reference: true,
            },
        }
    }
}

/// A packet without any slice: nothing is known to be there.
const NOTHING: Unit = Unit { picture: Picture::Other, begins: false, reference: true };

/// NAL unit types: H.264, table 7-1.
fn h264(data: &[u8], framing: Framing) -> Unit {
    let mut recovery_point = false;
    for nal in nals(data, framing) {
        let picture = match nal[0] & 0x1f {
            1 | 2 if recovery_point => Picture::RecoveryPoint,
            1 | 2 => Picture::Other,
            5 => Picture::Idr,
            6 => {
                recovery_point |= has_recovery_point(&nal[1..]);
                continue;
            }
            _ => continue,
        };
        // first_mb_in_slice is the first field, Exp-Golomb coded: 0 is a single bit 1 (7.3.3, 9.1).
        let begins = nal.get(1).is_some_and(|byte| byte & 0x80 != 0);
        // nal_ref_idc.
        return Unit { picture, begins, reference: nal[0] & 0x60 != 0 };
    }
    NOTHING
}

/// NAL unit types: H.265, table 7-1.
fn h265(data: &[u8], framing: Framing) -> Unit {
    for nal in nals(data, framing) {
        // Two bytes of header: forbidden bit, 6 of type, 6 of layer, 3 of temporal id.
        let (kind, layer) = match nal {
            [first, second, ..] => ((first >> 1) & 0x3f, (first & 1) << 5 | second >> 3),
            _ => continue,
        };
        if layer != 0 {
            continue;
        }
        let picture = match kind {
            6 | 7 => Picture::Radl,
            8 | 9 => Picture::Rasl,
            0..=15 => Picture::Other,
            16..=18 => Picture::Bla,
            19 | 20 => Picture::Idr,
            21 => Picture::Cra,
            _ => continue,
        };
        // first_slice_segment_in_pic_flag is the first bit (7.3.6.1).
        let begins = nal.get(2).is_some_and(|byte| byte & 0x80 != 0);
        // The even types below 16 are not referred to within their sub-layer, which for the pictures of the
        // highest one means not at all; of the lower ones nobody below them knows.
        let top_layer_only = kind < 16 && kind % 2 == 0;
        return Unit { picture, begins, reference: !top_layer_only };
    }
    NOTHING
}

/// Whether an SEI NAL unit holds a recovery point (H.264 7.3.2.3.1, D.1.8).
fn has_recovery_point(sei: &[u8]) -> bool {
    const RECOVERY_POINT: u32 = 6;
    let mut bytes = unescaped(sei);
    // A number in which 255 says that it goes on.
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

    fn look264(nals: &[&[u8]]) -> Unit {
        Units::H264(Framing::AnnexB).look(&annex_b(nals), false)
    }

    fn look265(kind: u8, first_slice: bool) -> Unit {
        let slice = [kind << 1, 1, u8::from(first_slice) << 7];
        Units::H265(Framing::AnnexB).look(&annex_b(&[&[35 << 1, 1, 0x50], &slice]), false)
    }

    fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
    }

    #[test]
    fn h264_pictures() {
        let unit = |picture, begins, reference| Unit { picture, begins, reference };
        let (aud, sps) = (&[9, 0xf0][..], &[0x67, 66][..]);
        assert_eq!(look264(&[aud, sps, &[0x65, 0x88]]), unit(Picture::Idr, true, true));
        assert_eq!(look264(&[&[0x65, 0x08]]), unit(Picture::Idr, false, true));
        assert_eq!(look264(&[aud, &[0x41, 0x9a]]), unit(Picture::Other, true, true));
        assert_eq!(look264(&[&[0x01, 0x9e]]), unit(Picture::Other, true, false));
        assert_eq!(look264(&[aud, sps]), NOTHING);
        // User data of 2 bytes, then the recovery point.
        let sei = &[6, 5, 2, 7, 7, 6, 1, 0xc4, 0x80][..];
        assert_eq!(look264(&[sei, &[0x41, 0x9a]]), unit(Picture::RecoveryPoint, true, true));
        let other = &[6, 5, 2, 6, 1, 0x80][..];
        assert_eq!(look264(&[other, &[0x41, 0x9a]]).picture, Picture::Other);
        assert_eq!(look264(&[&[6, 255], &[0x41, 0x9a]]).picture, Picture::Other);
    }

    #[test]
    fn h265_pictures() {
        for (kinds, picture) in [
            (vec![0, 1, 4, 5], Picture::Other),
            (vec![6, 7], Picture::Radl),
            (vec![8, 9], Picture::Rasl),
            (vec![16, 17, 18], Picture::Bla),
            (vec![19, 20], Picture::Idr),
            (vec![21], Picture::Cra),
        ] {
            for kind in kinds {
                assert_eq!(look265(kind, true).picture, picture, "{kind}");
                assert!(!look265(kind, false).begins, "{kind}");
            }
        }
        assert!(look265(1, true).reference && !look265(0, true).reference);
        assert!(look265(9, true).reference && !look265(8, true).reference);
        assert!(look265(16, true).reference, "BLA");
    }

    #[test]
    fn keys_are_where_decoding_can_begin() {
        for kind in [16, 18, 19, 20, 21] {
            assert!(look265(kind, true).is_key(), "{kind}");
        }
        for kind in [0, 1, 6, 8] {
            assert!(!look265(kind, true).is_key(), "{kind}");
        }
    }

    #[test]
    fn what_is_not_looked_into_says_itself() {
        assert_eq!(Units::Opaque.look(&[], true).picture, Picture::Idr);
        assert_eq!(Units::Opaque.look(&[], false).picture, Picture::Other);
    }
}
