//! Reads H.264 sequence parameter sets.

use h264_reader::nal::sps::{PicOrderCntType, SeqParameterSet};
use h264_reader::nal::{Nal as _, RefNal};

use crate::profile::ProfileLevelId;

/// The fields of an H.264 sequence parameter set that the service uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceParameters {
    /// Profile, constraint flags and level.
    pub profile_level_id: ProfileLevelId,
    /// Most pictures that precede any picture in decoding order and follow it in output order
    /// (`max_num_reorder_frames`); `None` if not stated.
    pub reordered: Option<usize>,
}

impl SequenceParameters {
    /// Reads a parameter set, a NAL unit with its header; `None` if it is too short.
    pub fn of(sps: &[u8]) -> Option<Self> {
        Some(Self { profile_level_id: ProfileLevelId::of(sps)?, reordered: reordered(sps) })
    }
}

fn reordered(sps: &[u8]) -> Option<usize> {
    let sps = SeqParameterSet::from_bits(RefNal::new(sps, &[], true).rbsp_bits()).ok()?;
    // Baseline has no B slices, and with pic_order_cnt_type 2 output order is decoding order (8.2.1.3).
    let profile: u8 = sps.profile_idc.into();
    if profile == 66 || matches!(sps.pic_order_cnt, PicOrderCntType::TypeTwo) {
        return Some(0);
    }
    let restrictions = sps.vui_parameters?.bitstream_restrictions?;
    usize::try_from(restrictions.max_num_reorder_frames).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From x264: High profile, level 2.1, with B-frames that other pictures refer to.
    const HIGH: [u8; 24] = [
        0x67, 0x64, 0x00, 0x15, 0xac, 0xd9, 0x41, 0x41, 0x9b, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
        0x10, 0x00, 0x00, 0x06, 0x40, 0xf1, 0x62, 0xd9, 0x60,
    ];

    #[test]
    fn profile_and_level_need_only_the_first_bytes() {
        let profile_level_id = ProfileLevelId([100, 0, 21]);
        let high = SequenceParameters { profile_level_id, reordered: Some(2) };
        assert_eq!(SequenceParameters::of(&HIGH), Some(high));
        let baseline = SequenceParameters::of(&[0x67, 66, 0xc0, 31, 0x80]).unwrap();
        assert_eq!(baseline.profile_level_id, ProfileLevelId([66, 0xc0, 31]));
        assert_eq!(SequenceParameters::of(&[0x67, 66]), None);
    }

    #[test]
    fn an_unreadable_set_states_no_reordering() {
        assert_eq!(SequenceParameters::of(&[0x67, 77, 0, 31, 0]).unwrap().reordered, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(data: Vec<u8>, at in 4usize..HIGH.len(), byte: u8) {
            let _ = SequenceParameters::of(&data);
            let mut torn = HIGH;
            torn[at] = byte;
            let _ = SequenceParameters::of(&torn);
            let _ = SequenceParameters::of(&torn[..at]);
        }
    }
}
