//! What an H.264 sequence parameter set states and FFmpeg's decoder tells only once it has a slice. Pure.

use h264_reader::nal::sps::{PicOrderCntType, SeqParameterSet};
use h264_reader::nal::{Nal as _, RefNal};

/// Facts of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    /// As FFmpeg numbers profiles.
    pub(super) profile: i32,
    pub(super) level: i32,
    /// How many pictures are shown later than one that is decoded after them; `None` where that is not stated.
    pub(super) reordered: Option<usize>,
}

/// FFmpeg's bit for the constrained ones (FF_PROFILE_H264_CONSTRAINED).
const CONSTRAINED: i32 = 1 << 9;

impl Sequence {
    /// Reads a parameter set, header included. `None` when it is too short to be one.
    pub(super) fn of(sps: &[u8]) -> Option<Self> {
        // 7.3.2.1.1: profile_idc, constraint flags, level_idc are whole bytes behind the header.
        let [_, profile, constraints, level, ..] = *sps else { return None };
        let constrained = profile == 66 && constraints & 0x40 != 0;
        let profile = i32::from(profile) | if constrained { CONSTRAINED } else { 0 };
        Some(Self { profile, level: i32::from(level), reordered: reordered(sps) })
    }
}

fn reordered(sps: &[u8]) -> Option<usize> {
    let sps = SeqParameterSet::from_bits(RefNal::new(sps, &[], true).rbsp_bits()).ok()?;
    // Baseline has no B slices, and with order count type 2 output order is decoding order (8.2.1.3).
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

    /// Of x264: High profile at level 2.1, B-frames that are referred to.
    const HIGH: [u8; 24] = [
        0x67, 0x64, 0x00, 0x15, 0xac, 0xd9, 0x41, 0x41, 0x9b, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
        0x10, 0x00, 0x00, 0x06, 0x40, 0xf1, 0x62, 0xd9, 0x60,
    ];

    #[test]
    fn profile_and_level_come_from_a_prefix() {
        let high = Sequence { profile: 100, level: 21, reordered: Some(2) };
        assert_eq!(Sequence::of(&HIGH), Some(high));
        let baseline = Sequence::of(&[0x67, 66, 0xc0, 31, 0x80]).unwrap();
        assert_eq!((baseline.profile, baseline.level), (66 | CONSTRAINED, 31));
        assert_eq!(Sequence::of(&[0x67, 66]), None);
    }

    #[test]
    fn what_can_not_be_read_states_nothing() {
        assert_eq!(Sequence::of(&[0x67, 77, 0, 31, 0]).unwrap().reordered, None);
    }
}
