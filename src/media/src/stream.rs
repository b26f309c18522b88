//! The description of a source's video stream.

use std::fmt;

use crate::codec::Codec;
use crate::parameters::CodecParameters;
use crate::sound::Sound;
use vas_request::{Fraction, RtspClient};

/// The video stream of a source.
///
/// Displays like `h264 (Main) 1920x1080 25 fps`, without unknown parts.
#[derive(Clone, Debug)]
pub struct StreamInfo {
    /// The codec.
    pub codec: Codec,
    /// FFmpeg's name for the profile, such as `Main`.
    pub profile: Option<&'static str>,
    /// Visible width and height in pixels. `None` if no parameter sets arrived while the source was
    /// opened; decoded frames always have a size.
    pub size: Option<(u32, u32)>,
    /// The nominal frame rate. Cameras often state a wrong one: use it only for estimates.
    pub fps: Option<Fraction>,
    /// Seconds per tick of the packets' timestamps.
    pub time_base: Fraction,
    /// How the packets are transported.
    pub carrier: Carrier,
    /// Whether the source detects lost packets. FFmpeg's RTSP demuxer does not; the RTSP client retina
    /// does.
    pub knows_loss: bool,
    /// The RTSP client: retina or FFmpeg; `None` for other sources.
    pub client: Option<RtspClient>,
    /// Why the client is not retina, if the request allowed both.
    pub client_why: Option<String>,
    /// What a decoder needs before the first packet.
    pub parameters: CodecParameters,
    /// The result of the request for sound.
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

/// How a source's packets are transported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// RTP interleaved in the RTSP connection.
    Tcp,
    /// RTP over UDP.
    Udp,
    /// Read from a file.
    File,
    /// Generated in this process.
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
        // SAFETY: new parameters from FFmpeg, freed after they were copied.
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
    fn unknown_parts_are_not_displayed() {
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
