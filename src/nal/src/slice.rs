//! Which picture parameter set a slice refers to. Pure.

use std::num::NonZeroUsize;

use h264_reader::rbsp::{BitRead as _, BitReader, ByteReader};

use crate::stream::Codec;

/// Bytes of a slice that are looked at: what is read lies within the first few.
const HEAD: usize = 32;

/// Whether a NAL unit is a slice of a base-layer picture.
pub(crate) fn is_slice(codec: &Codec, nal: &[u8]) -> bool {
    match (codec, nal) {
        // Table 7-1: slices, data partition A, IDR slices.
        (Codec::H264, [first, ..]) => matches!(first & 0x1f, 1 | 2 | 5),
        (Codec::H265, [first, second, ..]) => {
            (first >> 1) & 0x3f <= 21 && (first & 1) << 5 | second >> 3 == 0
        }
        _ => false,
    }
}

/// The id of the set that a NAL unit refers to, if it is a slice of a base-layer picture.
pub(crate) fn referred_by(codec: &Codec, nal: &[u8]) -> Option<u32> {
    let head = &nal[..nal.len().min(HEAD)];
    match codec {
        _ if !is_slice(codec, nal) => None,
        // 7.3.3: first_mb_in_slice, slice_type, pic_parameter_set_id.
        Codec::H264 => {
            let mut bits = bits(head, 1)?;
            bits.read_ue("first_mb_in_slice").ok()?;
            bits.read_ue("slice_type").ok()?;
            bits.read_ue("pic_parameter_set_id").ok()
        }
        Codec::H265 => {
            let kind = (nal.first()? >> 1) & 0x3f;
            // 7.3.6.1: first_slice_segment_in_pic_flag, no_output_of_prior_pics_flag,
            // slice_pic_parameter_set_id.
            let mut bits = bits(head, 2)?;
            bits.read_bool("first_slice_segment_in_pic_flag").ok()?;
            if kind >= 16 {
                bits.read_bool("no_output_of_prior_pics_flag").ok()?;
            }
            bits.read_ue("slice_pic_parameter_set_id").ok()
        }
        _ => None,
    }
}

/// The id of a picture parameter set, header included.
pub(crate) fn id_of(codec: &Codec, pps: &[u8]) -> Option<u32> {
    let header = match codec {
        Codec::H264 => 1,
        Codec::H265 => 2,
        _ => return None,
    };
    bits(&pps[..pps.len().min(HEAD)], header)?.read_ue("pps_pic_parameter_set_id").ok()
}

/// The bits behind a NAL unit's header, without emulation prevention.
fn bits(nal: &[u8], header: usize) -> Option<BitReader<ByteReader<&[u8]>>> {
    Some(BitReader::new(ByteReader::skipping_bytes(nal, NonZeroUsize::new(header)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_slices_name_their_set() {
        // first_mb 0 (1), slice_type 7 (0001000), pps 0 (1) and 2 (011).
        assert_eq!(referred_by(&Codec::H264, &[0x65, 0b1000_1000, 0b1000_0000]), Some(0));
        assert_eq!(referred_by(&Codec::H264, &[0x41, 0b1000_1000, 0b0110_0000]), Some(2));
        assert_eq!(referred_by(&Codec::H264, &[0x67, 0b1000_1000, 0b1000_0000]), None, "an SPS");
        assert_eq!(referred_by(&Codec::H264, &[0x41]), None);
        assert_eq!(id_of(&Codec::H264, &[0x68, 0b0101_0000]), Some(1));
    }

    #[test]
    fn h265_slices_name_their_set() {
        // IDR: first 1, no_output 0, pps 1 (010); trailing: first 0, pps 0 (1).
        assert_eq!(referred_by(&Codec::H265, &[19 << 1, 1, 0b1001_0000]), Some(1));
        assert_eq!(referred_by(&Codec::H265, &[1 << 1, 1, 0b0100_0000]), Some(0));
        assert_eq!(referred_by(&Codec::H265, &[34 << 1, 1, 0b1000_0000]), None, "a PPS");
        assert_eq!(referred_by(&Codec::H265, &[1 << 1, 0b1001, 0b1000_0000]), None, "a layer");
        assert_eq!(id_of(&Codec::H265, &[34 << 1, 1, 0b1000_0000]), Some(0));
    }

    #[test]
    fn other_codecs_have_none() {
        assert_eq!(referred_by(&Codec::Other("mjpeg".into()), &[0xff, 0xd8]), None);
        assert_eq!(id_of(&Codec::Raw, &[0]), None);
    }
}
