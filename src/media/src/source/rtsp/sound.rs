//! The sound of a retina session.

use ffmpeg_sys_next::AVCodecID::AV_CODEC_ID_AAC;
use retina::client::{Described, Session};
use retina::codec::ParametersRef;

use super::media::SoundFrame;
use super::report::CameraClock;
use super::track::at_monotonic;
use crate::av::AvError;
use crate::packet::Packet;
use crate::parameters::CodecParameters;
use crate::sound::Sound;
use vas_request::Fraction;

/// A sound track that plays.
#[derive(Debug)]
pub(super) struct SoundTrack {
    pub(super) index: usize,
    time_base: Fraction,
    clock: CameraClock,
}

impl SoundTrack {
    /// The sound track of a session, if retina supports it and it can be recorded; and the result of the request for
    /// sound.
    pub(super) fn choose(session: &Session<Described>) -> (Sound, Option<Self>) {
        let streams = session.streams();
        let Some(index) = streams.iter().position(|stream| stream.media() == "audio") else {
            return (Sound::None, None);
        };
        let stream = &streams[index];
        match stream.encoding_name() {
            "mpeg4-generic" => {}
            "opus" => {
                let why = "retina can't depacketize opus; set `rtsp_client = \"ffmpeg\"`, or the camera to AAC";
                return (Sound::LeftOut { why: why.into() }, None);
            }
            other => return (Sound::unfit(name(other)), None),
        }
        let (Some(ParametersRef::Audio(stated)), Some(time_base)) =
            (stream.parameters(), Fraction::new(1, stream.clock_rate_hz()))
        else {
            let why = "the camera's description of its aac is invalid".into();
            return (Sound::LeftOut { why }, None);
        };
        let (rate_hz, channels) = (stated.clock_rate(), stated.channels().get());
        let parameters =
            CodecParameters::audio(AV_CODEC_ID_AAC, stated.extra_data(), rate_hz, channels);
        let sound = Sound::of(parameters, time_base, false);
        let comes = matches!(sound, Sound::Comes(_));
        let clock = CameraClock::default();
        (sound, comes.then_some(Self { index, time_base, clock }))
    }

    /// Takes a sender report.
    pub(super) fn report(&mut self, ntp: u64, ticks: i64) {
        self.clock.report(ntp, ticks);
    }

    pub(super) fn packet(&self, frame: &SoundFrame) -> Result<Packet, AvError> {
        let ticks = frame.ticks();
        let mut packet = Packet::with_size(self.time_base, frame.data().len())?;
        packet.data_mut().copy_from_slice(frame.data());
        packet.set_sound(self.time_base);
        packet.set_times(ticks, Some(ticks));
        packet.set_duration(frame.duration().into());
        packet.set_arrival(at_monotonic(frame.received()));
        packet.set_wall_clock(self.clock.at(ticks, self.time_base.den()));
        Ok(packet)
    }
}

/// FFmpeg's name for a codec, as reported by the other client.
fn name(encoding: &str) -> &str {
    match encoding {
        "pcmu" => "pcm_mulaw",
        "pcma" => "pcm_alaw",
        "mpa" => "mp2",
        other => other,
    }
}
