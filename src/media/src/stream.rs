//! What is known of a source's video stream.

use std::fmt;

use crate::codec::Codec;
use crate::fraction::Fraction;
use crate::parameters::CodecParameters;
use crate::request::RtspClient;
use crate::sound::Sound;

/// The video stream of a source.
///
/// Displays like `h264 (Main) 1920x1080 25 fps`; what is unknown is left out.
#[derive(Clone, Debug)]
pub struct StreamInfo {
    /// The codec.
    pub codec: Codec,
    /// FFmpeg's name for the profile, such as `Main`.
    pub profile: Option<&'static str>,
    /// Visible width and height in pixels. None when no parameter sets came while the source was
    /// opened; the decoded frames always know.
    pub size: Option<(u32, u32)>,
    /// The nominal frame rate. Cameras state it wrongly often enough: use it for estimates.
    pub fps: Option<Fraction>,
    /// Seconds a tick of the packets' timestamps.
    pub time_base: Fraction,
    /// How the packets come here.
    pub carrier: Carrier,
    /// Whether the source can say that packets were lost on the way. FFmpeg's RTSP demuxer cannot; the
    /// RTSP client retina can.
    pub knows_loss: bool,
    /// What speaks RTSP with the camera: retina or FFmpeg; `None` for other sources.
    pub client: Option<RtspClient>,
    /// Why it is not retina, where that was asked for first.
    pub client_why: Option<String>,
    /// What a decoder needs to begin.
    pub parameters: CodecParameters,
    /// What came of the wish for sound.
    pub sound: Sound,
}

impl fmt::Display for StreamInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.codec.name())?;
        if let Some(profile) = self.profile {
            write!(f, " ({profile})")?;
        }
        if let Some((width, height)) = self.size {
            write!(f, " {width}x{height}")?;
        }
        if let Some(fps) = self.fps {
            write!(f, " {fps} fps")?;
        }
        Ok(())
    }
}

/// How a source's packets come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// RTP interleaved in the RTSP connection.
    Tcp,
    /// RTP over UDP.
    Udp,
    /// Read from a file.
    File,
    /// Made in this process.
    Generated,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "RTP over TCP",
            Self::Udp => "RTP over UDP",
            Self::File => "file",
            Self::Generated => "generated",
        })
    }
}

#[cfg(test)]
mod tests {
    use ffmpeg_sys_next as ffi;

    use super::*;

    fn parameters() -> CodecParameters {
        // SAFETY: fresh parameters from FFmpeg, freed after they were copied.
        unsafe {
            let mut raw = ffi::avcodec_parameters_alloc();
            (*raw).codec_id = ffi::AVCodecID::AV_CODEC_ID_H264;
            (*raw).profile = 77;
            (*raw).width = 1920;
            (*raw).height = 1080;
            let copy = CodecParameters::copy_of(raw);
            ffi::avcodec_parameters_free(&mut raw);
            copy
        }
    }

    #[test]
    fn it_displays_what_is_known() {
        let parameters = parameters();
        let mut stream = StreamInfo {
            codec: parameters.codec(),
            profile: parameters.profile(),
            size: parameters.size(),
            fps: Fraction::new(25, 1),
            time_base: Fraction::new(1, 90_000).unwrap(),
            carrier: Carrier::Tcp,
            knows_loss: false,
            client: None,
            client_why: None,
            parameters: parameters.clone(),
            sound: Sound::None,
        };
        assert_eq!(stream.to_string(), "h264 (Main) 1920x1080 25 fps");
        stream.profile = None;
        stream.size = None;
        stream.fps = None;
        assert_eq!(stream.to_string(), "h264");
    }
}
