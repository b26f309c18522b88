//! Collects parameter sets, to be sent before each key frame.

use crate::bits::Bits;
use crate::framing::{Framing, nals};
use crate::header::{NalCodec, NalHeader, NalKind};
use crate::profile::ProfileLevelId;

/// The id of a picture parameter set, a NAL unit with its header.
pub fn pps_id(codec: NalCodec, pps: &[u8]) -> Option<u32> {
    Bits::new(pps.get(codec.header_len()..)?).unsigned()
}

/// The id of an H.264 sequence parameter set, a NAL unit with its header.
fn sps_id(sps: &[u8]) -> Option<u32> {
    // It follows profile_idc, the constraint flags and level_idc (7.3.2.1.1).
    Bits::new(sps.get(4..)?).unsigned()
}

/// The parameter sets of an H.264 stream: the latest of each id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets {
    sequence: Vec<(u32, Vec<u8>)>,
    picture: Vec<(u32, Vec<u8>)>,
}

impl ParameterSets {
    /// Most ids kept of each kind. H.264 allows 32 SPS and 256 PPS; cameras use one or two.
    const MOST: usize = 16;

    /// Reads the parameter sets in `configuration`: FFmpeg's extradata, either avcC or Annex B.
    ///
    /// `None` if it ends within a set.
    pub fn of(configuration: &[u8]) -> Option<Self> {
        let mut sets = Self::default();
        match Framing::of(NalCodec::H264, configuration) {
            Framing::AnnexB => nals(configuration, Framing::AnnexB).for_each(|nal| sets.keep(nal)),
            Framing::Lengths(_) => sets.keep_record(configuration)?,
        }
        Some(sets)
    }

    /// Reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1); `None` if it ends within a set.
    fn keep_record(&mut self, record: &[u8]) -> Option<()> {
        let mut rest = record.get(5..)?;
        for mask in [0x1f, 0xff] {
            let (count, behind) = rest.split_first()?;
            rest = behind;
            for _ in 0..count & mask {
                let (length, behind) = rest.split_first_chunk::<2>()?;
                let (set, behind) =
                    behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
                self.keep(set);
                rest = behind;
            }
        }
        Some(())
    }

    /// Keeps a NAL unit if it is a parameter set, and replaces the set with the same id.
    pub fn keep(&mut self, nal: &[u8]) {
        let (sets, id) = match NalHeader::of(NalCodec::H264, nal).map(|header| header.kind) {
            Some(NalKind::Sps) => (&mut self.sequence, sps_id(nal)),
            Some(NalKind::Pps) => (&mut self.picture, pps_id(NalCodec::H264, nal)),
            _ => return,
        };
        let Some(id) = id else { return };
        match sets.iter().position(|(known, _)| *known == id) {
            Some(index) if sets[index].1 == nal => {}
            Some(index) => nal.clone_into(&mut sets[index].1),
            None if sets.len() < Self::MOST => sets.push((id, nal.to_vec())),
            None => {}
        }
    }

    /// Whether there is at least one set of each kind, as a decoder needs to begin.
    pub fn are_complete(&self) -> bool {
        !self.sequence.is_empty() && !self.picture.is_empty()
    }

    /// The number of sets.
    pub fn count(&self) -> usize {
        self.sequence.len() + self.picture.len()
    }

    /// The set at `index` in sending order; empty from [`count`](Self::count) on.
    pub fn unit(&self, index: usize) -> &[u8] {
        let mut all = self.sequence.iter().chain(&self.picture);
        all.nth(index).map_or(&[], |(_, unit)| unit)
    }

    /// Profile and level, from the first sequence parameter set.
    pub fn profile_level_id(&self) -> Option<ProfileLevelId> {
        let (_, sps) = self.sequence.first()?;
        ProfileLevelId::of(sps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::annex_b;
    use proptest::prelude::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0x95];
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

    #[test]
    fn avcc_and_annex_b_give_the_same_sets() {
        let record = [&[1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 5][..], SPS, &[1, 0, 4], PPS].concat();
        let sets = ParameterSets::of(&record).unwrap();
        assert_eq!(Some(&sets), ParameterSets::of(&annex_b(&[SPS, PPS])).as_ref());
        assert!(sets.are_complete());
        assert_eq!([sets.unit(0), sets.unit(1)], [SPS, PPS]);
        assert_eq!(sets.profile_level_id().unwrap().to_string(), "42c01f");
        assert_eq!(ParameterSets::of(&record[..record.len() - 1]), None);
    }

    #[test]
    fn the_latest_set_of_an_id_is_kept() {
        let mut sets = ParameterSets::of(&annex_b(&[SPS, PPS])).unwrap();
        let other = [0x67, 0x4d, 0x00, 0x28, 0x95];
        sets.keep(&other);
        sets.keep(&[0x65, 1]);
        sets.keep(&[0x67]);
        assert_eq!(sets.count(), 2);
        assert_eq!(sets.profile_level_id().unwrap().to_string(), "4d0028");
    }

    #[test]
    fn ids_of_picture_parameter_sets() {
        assert_eq!(pps_id(NalCodec::H264, &[0x68, 0b0101_0000]), Some(1));
        assert_eq!(pps_id(NalCodec::H265, &[34 << 1, 1, 0b1000_0000]), Some(0));
        assert_eq!(pps_id(NalCodec::H265, &[34 << 1]), None);
    }

    proptest! {
        #[test]
        fn any_configuration_is_read_without_a_panic(mut data: Vec<u8>, is_record: bool) {
            if is_record && let Some(version) = data.first_mut() {
                *version = 1;
            }
            if let Some(sets) = ParameterSets::of(&data) {
                prop_assert!((0..sets.count()).all(|index| !sets.unit(index).is_empty()));
                prop_assert!(sets.unit(sets.count()).is_empty());
                let _ = sets.profile_level_id();
            }
        }
    }
}
