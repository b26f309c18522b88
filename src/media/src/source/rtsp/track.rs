//! Converts retina's video frames to packets like those of FFmpeg's demuxer: annex B, parameter sets before each
//! key frame, presentation and decoding times in ticks of the RTP clock.

use retina::codec::{VideoParameters, VideoParametersCodec};
use vas_nal::{
    NalCodec, ProfileLevelId, SequenceParameters, Slice, annex_b, start_codes_over_lengths,
};

use ffmpeg_sys_next::AVCodecID::{self, AV_CODEC_ID_H264, AV_CODEC_ID_HEVC, AV_CODEC_ID_MJPEG};

use super::media::{Parameters, Picture};
use super::outliers::{Outliers, PictureTime};
use super::reorder::DecodeTimes;
use super::report::CameraClock;
use crate::av::AvError;
use crate::clock::monotonic_ns;
use crate::decode::describe;
use crate::packet::Packet;
use crate::parameters::CodecParameters;
use crate::sound::Sound;
use crate::stream::{Carrier, StreamInfo};
use crate::unit::Units;
use vas_request::{Fraction, RtspClient};

/// Plausible frame rates. Rates outside are errors of a camera.
const PLAUSIBLE_FPS: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// FFmpeg's flag for constrained profiles, added to their number.
const FF_PROFILE_H264_CONSTRAINED: i32 = 1 << 9;

/// A packet, and the feature that retina lacks to read its picture correctly, if any.
pub(super) struct Made {
    pub(super) packet: Packet,
    pub(super) key: bool,
    pub(super) lacks: Option<&'static str>,
}

/// One video track of a session.
pub(super) struct Track {
    units: Units,
    /// Set if pictures consist of NAL units with lengths, which become start codes.
    nal_codec: Option<NalCodec>,
    /// In annex B.
    parameter_sets: Vec<u8>,
    /// The parameter sets have changed since the last packet.
    changed: bool,
    /// Whether there was a picture.
    begun: bool,
    /// The id of the picture parameter set in `parameter_sets`.
    pps_id: Option<u32>,
    outliers: Outliers,
    times: DecodeTimes,
    clock: CameraClock,
    time_base: Fraction,
}

impl Track {
    /// A track whose parameters are known, and the description of its stream.
    pub(super) fn new(
        parameters: Parameters<'_>,
        carrier: Carrier,
        clock_hz: u32,
        fps: Option<Fraction>,
        clock: CameraClock,
    ) -> Option<(Self, StreamInfo)> {
        let time_base = Fraction::new(1, clock_hz)?;
        let stated = parameters.stated();
        let parameter_sets = stated.map(parameter_sets).unwrap_or_default();
        let codec = match stated {
            Some(stated) => codec_id(stated.codec_params())?,
            None => AV_CODEC_ID_MJPEG,
        };
        let bare = CodecParameters::video(codec, &parameter_sets);
        let (mut known, mut reordered) =
            describe(&bare).map_or((bare, 0), |stated| (stated.parameters, stated.reordered));
        if let Some(VideoParametersCodec::H264 { sps, .. }) =
            stated.map(VideoParameters::codec_params)
            && let Some(sequence) = SequenceParameters::of(sps)
        {
            let (profile, level) = ffmpeg_profile(sequence.profile_level_id);
            known.set_profile(profile, level);
            reordered = sequence.reordered.unwrap_or(reordered);
        }
        let times = DecodeTimes::new(reordered);
        let outliers = Outliers::new(clock_hz, reordered > 0);
        let (width, height) = parameters.size();
        if known.size().is_none() {
            known.set_size(width, height);
        }
        let codec = known.codec();
        // Packets are converted to annex B.
        let units = Units::of(&codec, &[]);
        let nal_codec = codec.nal_codec();
        let stream = StreamInfo {
            profile: known.profile(),
            size: known.size(),
            fps: stated.and_then(stated_rate).or(fps),
            time_base,
            carrier,
            knows_loss: true,
            client: Some(RtspClient::Retina),
            client_why: None,
            parameters: known,
            sound: Sound::None,
            codec,
        };
        let pps_id = stated.and_then(pps_id);
        let track = Self {
            units,
            nal_codec,
            parameter_sets,
            changed: false,
            begun: false,
            pps_id,
            outliers,
            times,
            clock,
            time_base,
        };
        Some((track, stream))
    }

    /// Takes a sender report.
    pub(super) fn report(&mut self, ntp: u64, ticks: i64) {
        self.clock.report(ntp, self.outliers.place(ticks));
    }

    /// Converts a picture to a packet. Its first RTP packet arrived at `arrival_ns`. `parameters` are set if they are
    /// new with this picture; `lost` means that a part of it, or data before it, is missing. A picture that retina can't
    /// read correctly is marked as lost, too. `None` if there is no picture: some cameras send parameter sets or an end
    /// of sequence separately.
    pub(super) fn packet(
        &mut self,
        picture: Picture,
        arrival_ns: u64,
        parameters: Option<&VideoParameters>,
        lost: bool,
    ) -> Result<Option<Made>, AvError> {
        let is_new = parameters.map(parameter_sets).filter(|sets| *sets != self.parameter_sets);
        if let Some(sets) = is_new {
            self.parameter_sets = sets;
            self.changed = true;
            self.pps_id = parameters.and_then(pps_id);
        }
        let stamped = picture.ticks();
        let lost = lost || picture.lost();
        let mut data = picture.into_data();
        let mut lacks = None;
        let mut slices = usize::from(self.nal_codec.is_none());
        if let Some(codec) = self.nal_codec {
            let known = self.pps_id;
            start_codes_over_lengths(&mut data, |nal| {
                let Some(slice) = Slice::of(codec, nal) else { return };
                slices += 1;
                let referred = slice.pps_id();
                if referred.is_some_and(|id| known.is_some_and(|known| known != id)) {
                    lacks = Some("several picture parameter sets");
                }
            });
        }
        if slices == 0 {
            return Ok(None);
        }
        let unit = self.units.look(&data, true);
        // A session may begin within a picture.
        if !unit.begins && std::mem::replace(&mut self.begun, true) {
            lacks = lacks.or(Some("pictures that do not begin with their first slice"));
        }
        // A loss would explain it.
        let lacks = lacks.filter(|_| !lost);
        let key = unit.is_key();
        self.begun = true;
        let changed = std::mem::take(&mut self.changed);
        let sets: &[u8] = if key || changed { &self.parameter_sets } else { &[] };
        let mut packet = Packet::with_size(self.time_base, sets.len() + data.len())?;
        let (before, behind) = packet.data_mut().split_at_mut(sets.len());
        before.copy_from_slice(sets);
        behind.copy_from_slice(&data);
        packet.set_key(key);
        let PictureTime { ticks, guessed } = self.outliers.next(stamped, arrival_ns);
        packet.set_times(ticks, self.times.next(ticks));
        packet.set_arrival(arrival_ns);
        packet.set_lost(lost || lacks.is_some());
        // With an implausible timestamp, the capture time is unknown.
        let captured = if guessed { None } else { self.clock.at(ticks, self.time_base.den()) };
        packet.set_wall_clock(captured);
        Ok(Some(Made { packet, key, lacks }))
    }
}

fn pps_id(parameters: &VideoParameters) -> Option<u32> {
    match parameters.codec_params() {
        VideoParametersCodec::H264 { pps, .. } => vas_nal::pps_id(NalCodec::H264, pps),
        VideoParametersCodec::H265 { pps, .. } => vas_nal::pps_id(NalCodec::H265, pps),
        _ => None,
    }
}

/// FFmpeg's numbers for profile and level.
fn ffmpeg_profile(ProfileLevelId([profile, constraints, level]): ProfileLevelId) -> (i32, i32) {
    let constrained = profile == 66 && constraints & 0x40 != 0;
    let bit = if constrained { FF_PROFILE_H264_CONSTRAINED } else { 0 };
    (i32::from(profile) | bit, i32::from(level))
}

fn codec_id(codec: &VideoParametersCodec) -> Option<AVCodecID> {
    Some(match codec {
        VideoParametersCodec::H264 { .. } => AV_CODEC_ID_H264,
        VideoParametersCodec::H265 { .. } => AV_CODEC_ID_HEVC,
        VideoParametersCodec::Jpeg => AV_CODEC_ID_MJPEG,
        _ => return None,
    })
}

fn parameter_sets(parameters: &VideoParameters) -> Vec<u8> {
    match parameters.codec_params() {
        VideoParametersCodec::H264 { sps, pps } => annex_b(&[sps, pps]),
        VideoParametersCodec::H265 { vps, sps, pps } => annex_b(&[vps, sps, pps]),
        _ => Vec::new(),
    }
}

/// The rate that the parameter sets state; retina returns it as seconds per picture.
fn stated_rate(parameters: &VideoParameters) -> Option<Fraction> {
    let (seconds, pictures) = parameters.frame_rate()?;
    Fraction::new(pictures, seconds).filter(|fps| PLAUSIBLE_FPS.contains(&fps.as_f64()))
}

/// The rate that the SDP states, rounded to a thousandth.
pub(super) fn described_rate(fps: f32) -> Option<Fraction> {
    PLAUSIBLE_FPS.contains(&f64::from(fps)).then(|| Fraction::parse(&format!("{fps:.3}"))).flatten()
}

/// The rate of pictures with these presentation times.
pub(super) fn measured_rate(pts: &[i64], clock_hz: u32) -> Option<Fraction> {
    let mut pts = pts.to_vec();
    pts.sort_unstable();
    let apart = pts.windows(2).map(|pair| pair[1] - pair[0]).filter(|ticks| *ticks > 0).min()?;
    let fps = Fraction::new(clock_hz, u32::try_from(apart).ok()?)?;
    PLAUSIBLE_FPS.contains(&fps.as_f64()).then_some(fps)
}

/// Converts an `Instant` to nanoseconds of CLOCK_MONOTONIC, which is its clock on Linux.
pub(super) fn at_monotonic(moment: std::time::Instant) -> u64 {
    let ago = u64::try_from(moment.elapsed().as_nanos()).unwrap_or(u64::MAX);
    monotonic_ns().saturating_sub(ago)
}

/// Whether the description announces a decoding order number before each NAL unit (RFC 7798, 7.1:
/// `sprop-max-don-diff`), which retina would treat as part of the unit.
pub(super) fn has_decoding_order_numbers(sdp: &str) -> bool {
    sdp.split([';', ' ', '\r', '\n']).filter_map(|part| part.trim().split_once('=')).any(
        |(name, value)| {
            matches!(name, "sprop-max-don-diff" | "sprop-depack-buf-nalus")
                && value.trim().parse::<u32>().is_ok_and(|number| number > 0)
        },
    )
}

/// Whether the description has more than one parameter set of a kind; retina keeps only one.
pub(super) fn has_several_parameter_sets(sdp: &str) -> bool {
    let sets = |value: &str| value.split(',').filter(|set| !set.trim().is_empty()).count();
    sdp.split([';', ' ', '\r', '\n']).filter_map(|part| part.trim().split_once('=')).any(
        |(name, value)| match name {
            "sprop-parameter-sets" => sets(value) > 2,
            "sprop-vps" | "sprop-sps" | "sprop-pps" => sets(value) > 1,
            _ => false,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_converted_to_ffmpegs_numbers() {
        assert_eq!(ffmpeg_profile(ProfileLevelId([100, 0, 21])), (100, 21));
        let constrained = 66 | FF_PROFILE_H264_CONSTRAINED;
        assert_eq!(ffmpeg_profile(ProfileLevelId([66, 0xc0, 31])), (constrained, 31));
        assert_eq!(ffmpeg_profile(ProfileLevelId([66, 0x80, 31])), (66, 31));
    }

    #[test]
    fn rates() {
        assert_eq!(described_rate(25.0), Fraction::new(25, 1));
        assert_eq!(described_rate(29.97), Fraction::new(2997, 100));
        assert_eq!(described_rate(0.0), None);
        assert_eq!(described_rate(f32::NAN), None);
        assert_eq!(measured_rate(&[0, 10_800, 3600, 7200], 90_000), Fraction::new(90_000, 3600));
        assert_eq!(measured_rate(&[5, 5], 90_000), None);
    }

    #[test]
    fn decoding_order_numbers_are_detected() {
        assert!(has_decoding_order_numbers("a=fmtp:96 sprop-max-don-diff=2;x=1\r\n"));
        assert!(has_decoding_order_numbers("a=fmtp:96 x=1; sprop-depack-buf-nalus=4\r\n"));
        assert!(!has_decoding_order_numbers("a=fmtp:96 sprop-max-don-diff=0\r\n"));
        assert!(!has_decoding_order_numbers("a=fmtp:96 sprop-vps=QA==\r\n"));
    }

    #[test]
    fn several_parameter_sets_of_a_kind_are_detected() {
        let fmtp = |parameters: &str| format!("a=fmtp:96 packetization-mode=1;{parameters}\r\n");
        assert!(!has_several_parameter_sets(&fmtp("sprop-parameter-sets=Z0IA,aM4=;x=1")));
        assert!(!has_several_parameter_sets(&fmtp("sprop-parameter-sets=Z0IA,aM4=,")));
        assert!(has_several_parameter_sets(&fmtp("sprop-parameter-sets=Z0IA,aM4=,aM5=")));
        assert!(has_several_parameter_sets(&fmtp("sprop-vps=QA==; sprop-pps=RA==,RB==")));
    }
}
