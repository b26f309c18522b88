//! What a NAL unit is, from its header.

/// The codecs whose streams consist of NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NalCodec {
    /// ITU-T H.264, AVC.
    H264,
    /// ITU-T H.265, HEVC.
    H265,
}

impl NalCodec {
    /// Bytes of a NAL unit's header.
    pub const fn header_len(self) -> usize {
        match self {
            Self::H264 => 1,
            Self::H265 => 2,
        }
    }
}

/// The header of a NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NalHeader {
    /// What it is.
    pub kind: NalKind,
    /// `nuh_layer_id`; 0, the base layer, in H.264.
    pub layer: u8,
    /// Whether other pictures may refer to the slice. H.265 states it within a sub-layer only: `false`
    /// means not at all for pictures of the highest one.
    pub is_reference: bool,
}

/// A coded picture by what may be decoded before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
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

impl PictureKind {
    /// Whether it decodes without any other picture (H.265: IRAP).
    pub fn is_irap(self) -> bool {
        matches!(self, Self::Idr | Self::Cra | Self::Bla)
    }
}

/// `nal_unit_type`, as far as it makes a difference here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// A slice, or slice segment, of a picture of this kind.
    Slice(PictureKind),
    /// H.264: slice data partition A, which holds the slice's header. Only the Extended profile has it.
    PartitionA,
    /// Supplemental enhancement information; H.265's prefix and suffix alike.
    Sei,
    /// H.265: video parameter set.
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Access unit delimiter.
    Delimiter,
    /// Filler data.
    Filler,
    /// Any other.
    Other,
}

impl NalHeader {
    /// Reads the header of a NAL unit; `None` when it is shorter than that.
    pub fn of(codec: NalCodec, nal: &[u8]) -> Option<Self> {
        match (codec, nal) {
            // 7.3.1: forbidden bit, 2 of nal_ref_idc, 5 of type.
            (NalCodec::H264, [first, ..]) => Some(Self {
                kind: h264_kind(first & 0x1f),
                layer: 0,
                is_reference: first & 0x60 != 0,
            }),
            // 7.3.1.2: forbidden bit, 6 of type, 6 of layer, 3 of temporal id.
            (NalCodec::H265, [first, second, ..]) => {
                let number = first >> 1 & 0x3f;
                Some(Self {
                    kind: h265_kind(number),
                    layer: (first & 1) << 5 | second >> 3,
                    // Table 7-1: the even types below 16 are sub-layer non-reference pictures.
                    is_reference: number >= 16 || number % 2 == 1,
                })
            }
            _ => None,
        }
    }
}

/// H.264, table 7-1.
fn h264_kind(number: u8) -> NalKind {
    match number {
        1 => NalKind::Slice(PictureKind::Other),
        2 => NalKind::PartitionA,
        5 => NalKind::Slice(PictureKind::Idr),
        6 => NalKind::Sei,
        7 => NalKind::Sps,
        8 => NalKind::Pps,
        9 => NalKind::Delimiter,
        12 => NalKind::Filler,
        _ => NalKind::Other,
    }
}

/// H.265, table 7-1. Reserved types count as slices below 16, where a non-IRAP picture's are.
fn h265_kind(number: u8) -> NalKind {
    match number {
        6 | 7 => NalKind::Slice(PictureKind::Radl),
        8 | 9 => NalKind::Slice(PictureKind::Rasl),
        0..=15 => NalKind::Slice(PictureKind::Other),
        16..=18 => NalKind::Slice(PictureKind::Bla),
        19 | 20 => NalKind::Slice(PictureKind::Idr),
        21 => NalKind::Slice(PictureKind::Cra),
        32 => NalKind::Vps,
        33 => NalKind::Sps,
        34 => NalKind::Pps,
        35 => NalKind::Delimiter,
        38 => NalKind::Filler,
        39 | 40 => NalKind::Sei,
        _ => NalKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_h264() {
        let header = |first| NalHeader::of(NalCodec::H264, &[first]).unwrap();
        let is_reference = true;
        assert_eq!(header(0x67), NalHeader { kind: NalKind::Sps, layer: 0, is_reference });
        assert_eq!(header(0x65).kind, NalKind::Slice(PictureKind::Idr));
        assert_eq!(header(0x42).kind, NalKind::PartitionA);
        assert!(!header(0x01).is_reference);
        assert_eq!(NalHeader::of(NalCodec::H264, &[]), None);
    }

    #[test]
    fn headers_of_h265() {
        let header =
            |number: u8, second| NalHeader::of(NalCodec::H265, &[number << 1, second]).unwrap();
        assert_eq!(header(32, 1).kind, NalKind::Vps);
        assert_eq!([39, 40].map(|number| header(number, 1).kind), [NalKind::Sei; 2]);
        assert_eq!([22, 23, 31, 36].map(|number| header(number, 1).kind), [NalKind::Other; 4]);
        assert_eq!(header(1, 0b1001).layer, 1);
        assert_eq!(NalHeader::of(NalCodec::H265, &[0x43, 0xf9]).unwrap().layer, 63);
        assert_eq!(NalHeader::of(NalCodec::H265, &[0x42]), None);
    }
}
