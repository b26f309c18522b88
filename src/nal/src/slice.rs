//! Reads the fields at the beginning of a slice header, which need no parameter set.

use crate::bits::Bits;
use crate::header::{NalCodec, NalHeader, NalKind, PictureKind};

/// A slice of a base-layer picture (H.265: a slice segment).
///
/// Each method reads up to its field and no further. The fields that follow these, including H.265's
/// `dependent_slice_segment_flag`, can be read only with the parameter sets that the slice refers to.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    codec: NalCodec,
    picture: PictureKind,
    is_reference: bool,
    /// What follows the NAL unit's header.
    payload: &'a [u8],
}

/// `slice_type` (H.264, table 7-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceType {
    /// Each block is predicted from at most one picture.
    P,
    /// Each block is predicted from at most two pictures, which may follow in output order.
    B,
    /// Not predicted from other pictures.
    I,
    /// Switching P.
    Sp,
    /// Switching I.
    Si,
}

impl<'a> Slice<'a> {
    /// Reads a NAL unit as a slice; `None` unless it is a slice, or slice data partition A, of a base-layer picture.
    pub fn of(codec: NalCodec, nal: &'a [u8]) -> Option<Self> {
        let NalHeader { kind, layer, is_reference } = NalHeader::of(codec, nal)?;
        let picture = match kind {
            NalKind::Slice(picture) if layer == 0 => picture,
            NalKind::PartitionA => PictureKind::Other,
            _ => return None,
        };
        let payload = nal.get(codec.header_len()..)?;
        Some(Self { codec, picture, is_reference, payload })
    }

    /// The kind of its picture, from the NAL unit's type. Never [`PictureKind::RecoveryPoint`], which an SEI message
    /// before the slice states.
    pub fn picture(&self) -> PictureKind {
        self.picture
    }

    /// The same as [`NalHeader::is_reference`].
    pub fn is_reference(&self) -> bool {
        self.is_reference
    }

    /// Whether the slice is the first of its picture.
    pub fn begins_picture(&self) -> bool {
        // H.264 7.3.3: first_mb_in_slice, and the Exp-Golomb code of 0 is a single bit 1 (9.1).
        // H.265 7.3.6.1: first_slice_segment_in_pic_flag.
        Bits::new(self.payload).bit() == Some(true)
    }

    /// The slice's type in H.264. `None` if the slice ends before it, and in H.265, where the picture parameter set
    /// states how many extra bits precede it.
    pub fn slice_type(&self) -> Option<SliceType> {
        if self.codec != NalCodec::H264 {
            return None;
        }
        let mut bits = Bits::new(self.payload);
        let _first_mb_in_slice = bits.unsigned()?;
        // 5 to 9 mean that all slices of the picture have the same type.
        Some(match bits.unsigned()? % 5 {
            0 => SliceType::P,
            1 => SliceType::B,
            2 => SliceType::I,
            3 => SliceType::Sp,
            _ => SliceType::Si,
        })
    }

    /// The id of the picture parameter set that the slice refers to; `None` if the slice ends before it.
    pub fn pps_id(&self) -> Option<u32> {
        let mut bits = Bits::new(self.payload);
        match self.codec {
            // 7.3.3: first_mb_in_slice, slice_type, pic_parameter_set_id.
            NalCodec::H264 => {
                bits.unsigned()?;
                bits.unsigned()?;
            }
            // 7.3.6.1: first_slice_segment_in_pic_flag, no_output_of_prior_pics_flag, slice_pic_parameter_set_id.
            NalCodec::H265 => {
                bits.bit()?;
                if self.picture.is_irap() {
                    bits.bit()?;
                }
            }
        }
        bits.unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn referred_by(codec: NalCodec, nal: &[u8]) -> Option<u32> {
        Slice::of(codec, nal)?.pps_id()
    }

    #[test]
    fn h264_slices_refer_to_a_pps() {
        let referred_by = |nal| referred_by(NalCodec::H264, nal);
        // first_mb 0 (1), slice_type 7 (0001000), pps 0 (1) and 2 (011).
        assert_eq!(referred_by(&[0x65, 0b1000_1000, 0b1000_0000]), Some(0));
        assert_eq!(referred_by(&[0x41, 0b1000_1000, 0b0110_0000]), Some(2));
        assert_eq!(referred_by(&[0x67, 0b1000_1000, 0b1000_0000]), None, "an SPS");
        assert_eq!(referred_by(&[0x41]), None);
    }

    #[test]
    fn h265_slices_refer_to_a_pps() {
        let referred_by = |nal| referred_by(NalCodec::H265, nal);
        // IDR: first 1, no_output 0, pps 1 (010); trailing: first 0, pps 0 (1).
        assert_eq!(referred_by(&[19 << 1, 1, 0b1001_0000]), Some(1));
        assert_eq!(referred_by(&[1 << 1, 1, 0b0100_0000]), Some(0));
        assert_eq!(referred_by(&[34 << 1, 1, 0b1000_0000]), None, "a PPS");
        assert_eq!(referred_by(&[1 << 1, 0b1001, 0b1000_0000]), None, "a layer");
    }

    #[test]
    fn slice_types() {
        let slice_type = |nal| Slice::of(NalCodec::H264, nal).and_then(|slice| slice.slice_type());
        // first_mb 0 (1), then slice_type: P 0 (1), B 1 (010), P 5 (00110), B 6 (00111), I 7 (0001000).
        assert_eq!(slice_type(&[0x41, 0b1100_0000]), Some(SliceType::P));
        assert_eq!(slice_type(&[0x01, 0b1010_0000]), Some(SliceType::B));
        assert_eq!(slice_type(&[0x41, 0b1001_1000]), Some(SliceType::P));
        assert_eq!(slice_type(&[0x01, 0b1001_1100]), Some(SliceType::B));
        assert_eq!(slice_type(&[0x65, 0b1000_1000]), Some(SliceType::I));
        assert_eq!((slice_type(&[0x41]), slice_type(&[])), (None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(data: Vec<u8>) {
            for codec in [NalCodec::H264, NalCodec::H265] {
                if let Some(slice) = Slice::of(codec, &data) {
                    let _ = (slice.begins_picture(), slice.slice_type(), slice.pps_id());
                }
            }
        }
    }
}
