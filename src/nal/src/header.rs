//! NAL unit headers.

/// The codecs whose streams consist of NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NalCodec {
    /// ITU-T H.264, AVC.
    H264,
    /// ITU-T H.265, HEVC.
    H265,
}

impl NalCodec {
    /// Length of a NAL unit's header in bytes.
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
    /// What the NAL unit holds.
    pub kind: NalKind,
    /// `nuh_layer_id`; 0, the base layer, in H.264.
    pub layer: u8,
    /// Whether other pictures may refer to the slice. H.265 states this only for pictures of the same sub-layer, so
    /// `false` is certain only in the highest sub-layer.
    pub is_reference: bool,
}

/// The kind of a coded picture: whether decoding can begin at it, and what it refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    /// Decoding can begin here, and no later picture refers to an earlier one: an IDR picture, or any picture of a
    /// codec without references.
    Idr,
    /// H.265: decoding can begin here, but the RASL pictures that follow refer to earlier pictures.
    Cra,
    /// H.265: like CRA, but the pictures that its RASL pictures refer to are missing.
    Bla,
    /// H.265: output before its CRA or BLA picture, and may refer to pictures before that one.
    Rasl,
    /// H.265: output before its CRA, BLA or IDR picture, and refers to no picture before that one.
    Radl,
    /// H.264: decoding can begin here; its output is correct some pictures later (recovery point SEI).
    RecoveryPoint,
    /// Any other.
    Other,
}

impl PictureKind {
    /// Whether the picture decodes without any other (H.265: IRAP).
    pub fn is_irap(self) -> bool {
        matches!(self, Self::Idr | Self::Cra | Self::Bla)
    }
}

/// `nal_unit_type`, reduced to the kinds that this crate distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// A slice, or slice segment, of a picture of this kind.
    Slice(PictureKind),
    /// H.264: slice data partition A, which holds the slice's header. Only the Extended profile has it.
    PartitionA,
    /// Supplemental enhancement information; in H.265 both prefix and suffix SEI.
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
    /// Reads the header of a NAL unit; `None` if the unit is shorter than a header.
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

/// H.265, table 7-1. Reserved types below 16, the range of non-IRAP pictures, count as slices.
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
