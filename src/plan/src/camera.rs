//! A camera as it is planned for.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use vas_config::{Decode, GpuChoice, Video};
use vas_gate::Rate;
use vas_scale::Request;
use vas_surfaces::{Coding, EXTRA_SURFACES, HELD_BY_ENCODER};

/// What a camera sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its codec.
    pub codec: Codec,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Pictures a second; `None` if the stream does not state it. Rings are then sized for 30.
    pub fps: Option<Rate>,
}

/// A codec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Codec {
    /// H.264.
    H264,
    /// H.265.
    H265,
    /// Another one, by FFmpeg's name. It is decoded on the processor.
    Other(String),
}

/// A text that names no codec that can be planned for.
#[derive(Debug, thiserror::Error)]
#[error("{typed:?} is no codec; expected h264 or h265")]
pub struct InvalidCodec {
    typed: String,
}

/// A text that is no picture size.
#[derive(Debug, thiserror::Error)]
#[error("{typed:?} is no size; expected WIDTHxHEIGHT in pixels, such as 1920x1080")]
pub struct InvalidSize {
    typed: String,
}

/// Where a camera's stream is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The status of a running service, which is connected to the camera.
    Status,
    /// The config: a test picture.
    Config,
    /// The command line.
    Assumed,
}

/// What decodes a camera's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoder {
    /// A GPU's NVDEC.
    Nvdec,
    /// A GPU through VA-API.
    Vaapi,
    /// The processor.
    Software,
    /// Nothing takes decoded pictures.
    None,
}

/// What is asked of a camera, and what it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    /// Its id.
    pub id: String,
    /// What it sends.
    pub stream: Stream,
    /// Where that is known from.
    pub basis: Basis,
    /// The highest rate that readers ask for; `None`: every frame.
    pub read_fps: Option<Rate>,
    /// The size of exported frames.
    pub export_size: Request,
    /// Whether frames are exported.
    pub exported: bool,
    /// Whether it is recorded.
    pub recorded: bool,
    /// What its producer sends, if it has one.
    pub producer: Option<Video>,
    /// Other inputs than the one that `stream` describes.
    pub other_inputs: u32,
    /// `decode` of the config.
    pub decode: Decode,
    /// `gpu` of the config.
    pub gpu: GpuChoice,
    /// Bytes of device memory that its surfaces take now, by the status.
    pub gpu_bytes: Option<u64>,
    /// Bytes a second that it sends, by the status.
    pub sent_bytes_s: Option<u64>,
}

impl Camera {
    /// `count` cameras that are all alike, exported, and neither recorded nor sent on.
    #[must_use]
    pub fn alike(count: usize, stream: &Stream, read_fps: Option<Rate>) -> Vec<Self> {
        let camera = |number| Self {
            id: format!("camera-{number}"),
            stream: stream.clone(),
            basis: Basis::Assumed,
            read_fps,
            export_size: Request::default(),
            exported: true,
            recorded: false,
            producer: None,
            other_inputs: 0,
            decode: Decode::Auto,
            gpu: GpuChoice::Auto,
            gpu_bytes: None,
            sent_bytes_s: None,
        };
        (1..=count).map(camera).collect()
    }

    /// Whether its frames are scaled for the export.
    pub(crate) fn is_scaled(&self) -> bool {
        self.export_size.width.is_some() || self.export_size.height.is_some()
    }

    pub(crate) fn encodes(&self) -> bool {
        self.producer == Some(Video::H264)
    }

    /// Decoded pictures that its sinks hold at a time.
    pub(crate) fn held(&self) -> u32 {
        EXTRA_SURFACES + if self.encodes() { HELD_BY_ENCODER } else { 0 }
    }

    /// Width of its coded pictures.
    pub(crate) fn coded_width(&self) -> u32 {
        let size = self.stream.size;
        self.stream.codec.coding().map_or(size, |coding| coding.coded(size)).0
    }

    /// What decodes it on a host with or without a GPU.
    pub(crate) fn decoder(&self, has_gpu: bool) -> Decoder {
        let known = matches!(self.stream.codec, Codec::H264 | Codec::H265);
        match self.decode {
            _ if !self.exported && !self.encodes() => Decoder::None,
            Decode::Nvdec => Decoder::Nvdec,
            Decode::Vaapi => Decoder::Vaapi,
            // NVDEC has no render nodes. Whether the host has this one is not known: the config says so.
            Decode::Auto if known && matches!(self.gpu, GpuChoice::Node(_)) => Decoder::Vaapi,
            Decode::Auto if has_gpu && known => Decoder::Nvdec,
            _ => Decoder::Software,
        }
    }
}

impl Codec {
    /// How its surfaces are counted; `None`: not known.
    pub(crate) fn coding(&self) -> Option<Coding> {
        match self {
            Self::H264 => Some(Coding::H264),
            Self::H265 => Some(Coding::H265),
            Self::Other(_) => None,
        }
    }
}

impl FromStr for Codec {
    type Err = InvalidCodec;

    fn from_str(typed: &str) -> Result<Self, InvalidCodec> {
        match typed {
            "h264" => Ok(Self::H264),
            "h265" | "hevc" => Ok(Self::H265),
            _ => Err(InvalidCodec { typed: typed.into() }),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Other(name) => name,
        })
    }
}

impl From<Codec> for String {
    fn from(codec: Codec) -> Self {
        codec.to_string()
    }
}

/// Parses `1920x1080`.
///
/// # Errors
/// Any other form.
pub fn parse_size(typed: &str) -> Result<(u32, u32), InvalidSize> {
    let side = |text: &str| text.parse::<u32>().ok().filter(|&side| side > 0);
    let sides =
        typed.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
    sides.ok_or_else(|| InvalidSize { typed: typed.into() })
}
