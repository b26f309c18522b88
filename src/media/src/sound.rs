//! The sound of a camera, and whether it can be copied to a recording.

use ffmpeg_sys_next::AVCodecID::{AV_CODEC_ID_AAC, AV_CODEC_ID_OPUS};

use crate::parameters::CodecParameters;
use vas_request::Fraction;

/// The result of a request for sound.
#[derive(Clone, Debug, Default)]
pub enum Sound {
    /// There is no sound, or none was requested.
    #[default]
    None,
    /// There is sound, but the source omits its packets.
    LeftOut {
        /// Why, and what to do.
        why: String,
    },
    /// The source returns packets of sound between those of video.
    Comes(SoundInfo),
}

/// A stream of sound.
#[derive(Clone, Debug)]
pub struct SoundInfo {
    /// `aac` or `opus`.
    pub codec: &'static str,
    /// Seconds per tick of its packets' timestamps.
    pub time_base: Fraction,
    /// Whether its timestamps and those of the video share an origin.
    pub same_scale: bool,
    pub(crate) parameters: CodecParameters,
}

impl Sound {
    /// Whether a stream with these parameters can be recorded.
    pub(crate) fn of(parameters: CodecParameters, time_base: Fraction, same_scale: bool) -> Self {
        let (rate_hz, channels) = parameters.sampling();
        let (codec, parameters) = match parameters.codec_id() {
            // AAC can't be played without its configuration (AudioSpecificConfig).
            AV_CODEC_ID_AAC if !parameters.configuration().is_empty() => ("aac", parameters),
            AV_CODEC_ID_AAC => {
                let why = "the camera does not state how to decode its aac".into();
                return Self::LeftOut { why };
            }
            AV_CODEC_ID_OPUS => {
                let head = opus_head(rate_hz, channels);
                ("opus", CodecParameters::audio(AV_CODEC_ID_OPUS, &head, rate_hz, channels))
            }
            _ => return Self::unfit(parameters.codec().name()),
        };
        Self::Comes(SoundInfo { codec, time_base, same_scale, parameters })
    }

    /// Sound in a codec that recordings do not support.
    pub(crate) fn unfit(codec: &str) -> Self {
        let why = format!("{codec} can't go into MP4 as it is; set the camera to AAC");
        Self::LeftOut { why }
    }
}

/// The header that RTP omits (RFC 7845, 5.1), for one or two channels, without pre-skip and gain.
fn opus_head(rate_hz: u32, channels: u16) -> Vec<u8> {
    let channels = if channels == 1 { 1 } else { 2 };
    let mut head = b"OpusHead".to_vec();
    head.extend([1, channels, 0, 0]);
    head.extend(rate_hz.to_le_bytes());
    head.extend([0, 0, 0]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffmpeg_sys_next::AVCodecID::AV_CODEC_ID_PCM_MULAW;

    fn of(id: ffmpeg_sys_next::AVCodecID, configuration: &[u8]) -> Sound {
        let parameters = CodecParameters::audio(id, configuration, 48_000, 2);
        Sound::of(parameters, Fraction::new(1, 48_000).unwrap(), true)
    }

    #[test]
    fn aac_and_opus_are_recorded_and_other_codecs_have_a_reason() {
        assert!(matches!(of(AV_CODEC_ID_AAC, &[0x11, 0x90]), Sound::Comes(_)));
        let Sound::Comes(opus) = of(AV_CODEC_ID_OPUS, &[]) else { panic!() };
        assert_eq!(opus.parameters.configuration().len(), 19);
        assert_eq!(opus.parameters.sampling(), (48_000, 2));
        for (id, words) in [
            (AV_CODEC_ID_AAC, "does not state"),
            (AV_CODEC_ID_PCM_MULAW, "pcm_mulaw can't go into MP4 as it is"),
        ] {
            let Sound::LeftOut { why } = of(id, &[]) else { panic!("{id:?}") };
            assert!(why.contains(words), "{why}");
        }
    }
}
