//! Video codecs.

use std::ffi::CStr;

use ffmpeg_sys_next as ffi;
use vas_nal::NalCodec;

/// A video codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264, AVC.
    H264,
    /// H.265, HEVC.
    H265,
    /// Uncompressed pictures, such as a test picture.
    Raw,
    /// Any other codec, by FFmpeg's name.
    Other(String),
}

impl Codec {
    /// FFmpeg's name: `h264`, `hevc`, `rawvideo`, `mjpeg`, ...
    pub fn name(&self) -> &str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "hevc",
            Self::Raw => "rawvideo",
            Self::Other(name) => name,
        }
    }

    pub(crate) fn from_av(id: ffi::AVCodecID) -> Self {
        match id {
            ffi::AVCodecID::AV_CODEC_ID_H264 => Self::H264,
            ffi::AVCodecID::AV_CODEC_ID_HEVC => Self::H265,
            ffi::AVCodecID::AV_CODEC_ID_RAWVIDEO | ffi::AVCodecID::AV_CODEC_ID_WRAPPED_AVFRAME => {
                Self::Raw
            }
            other => {
                // SAFETY: returns a terminated static string for every id, known or not.
                let name = unsafe { CStr::from_ptr(ffi::avcodec_get_name(other)) };
                Self::Other(name.to_string_lossy().into_owned())
            }
        }
    }

    /// The codec, if its streams consist of NAL units.
    pub(crate) fn nal_codec(&self) -> Option<NalCodec> {
        match self {
            Self::H264 => Some(NalCodec::H264),
            Self::H265 => Some(NalCodec::H265),
            Self::Raw | Self::Other(_) => None,
        }
    }
}
