//! What a config file means: the service, its export, its cameras.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use vas_frame::{Access, CameraId};
use vas_gate::Rate;
use vas_request::DecodeFrames;
use vas_scale::{Fit, Request};

use super::file_mode::FileMode;
use super::group::Group;
use super::input::{Input, Role, Roles};
use super::producer::{Producer, Video};
use super::record::Record;

/// What the service is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder of `status.json`, absolute.
    pub run_dir: PathBuf,
    /// Processes among which the cameras are divided; `None`: one for each GPU, or one on a host
    /// without any.
    pub shards: Option<NonZeroU32>,
    /// How frames are exported, if they are.
    pub export: Export,
    /// The readers directory: where readers state what they do, absolute.
    pub readers_dir: PathBuf,
    /// At least one; ids differ.
    pub cameras: Vec<Camera>,
}

impl Config {
    /// The maximum number of cameras of a service; queues between threads are sized for it.
    pub const MAX_CAMERAS: usize = 4096;
}

/// How frames are exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The folder that holds each camera's own, absolute.
    pub dir: PathBuf,
    /// Slots of each ring, 1 to 1024; `None`: as many as [`hold`](Self::hold) needs at the camera's
    /// rate.
    pub slots: Option<u32>,
    /// How long a frame stays readable.
    pub hold: Duration,
    /// Group of the files; `None`: the service's own.
    pub group: Option<Group>,
    /// Permission bits of the files.
    pub mode: FileMode,
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its name, and that of its folder in the export.
    pub id: CameraId,
    /// Its streams; at least one.
    pub inputs: Vec<Input>,
    /// How the input with the role `record` is recorded; `None`: not at all.
    pub record: Option<Record>,
    /// What decodes.
    pub decode: Decode,
    /// The GPU that it decodes on, if any.
    pub gpu: GpuChoice,
    /// Which pictures are decoded; always all where decoded frames are encoded.
    pub decode_frames: DecodeFrames,
    /// What happens to a decoder that only readers need, while there are none.
    pub idle: WhenIdle,
    /// The most frames a second that are exported; `None`: as many as the camera sends.
    pub max_fps: Option<Rate>,
    /// The size that larger frames are exported in; without a side, as they are decoded.
    pub export_size: Request,
    /// Where its video is sent as RTP, if anywhere.
    pub producer: Option<Producer>,
}

/// What decodes a camera's video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Decode {
    /// An NVIDIA GPU, or another with a VA-API driver, or the processor where neither can.
    #[default]
    Auto,
    /// An NVIDIA GPU only: the processor must not be loaded.
    Nvdec,
    /// A GPU with a VA-API driver (Intel, AMD) only.
    Vaapi,
    /// The processor.
    Software,
}

/// Which GPU decodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GpuChoice {
    /// The one with the fewest cameras when the camera opens.
    #[default]
    Auto,
    /// The one with this index: from 0 in the driver's order for NVDEC; with [`Decode::Vaapi`], from 0 by the numbers of
    /// the render nodes. With [`Decode::Auto`] it rules VA-API out.
    Number(usize),
    /// The render node of this number, 129 for `/dev/dri/renderD129`. NVDEC does not decode then.
    Node(u32),
}

/// What happens to a decoder that only readers need, while there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenIdle {
    /// It is closed; a reader's first frame then takes the time to open it and to decode from the
    /// last key frame.
    #[default]
    Stop,
    /// It stays open, and the ring is kept ready.
    Decode,
}

/// An invalid value of a key.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("{typed:?} is no decoder; expected \"auto\", \"nvdec\", \"vaapi\" or \"software\"")]
    Decode { typed: String },
    #[error(
        "this build does not decode with {typed}; expected \"auto\", \"nvdec\" (NVIDIA), \"vaapi\" (Intel, AMD) or \
         \"software\""
    )]
    DecodeNotBuilt { typed: String },
    #[error(
        "{typed:?} is no GPU; expected \"auto\" or its number, from 0 on, or for VA-API a path such as \"/dev/dri/renderD128\""
    )]
    Gpu { typed: String },
    #[error("{typed:?} is unknown; expected \"all\", \"reference\" or \"key\"")]
    DecodeFrames { typed: String },
    #[error("{typed:?} is unknown; expected \"stop\" or \"decode\"")]
    Idle { typed: String },
    #[error("{typed:?} is unknown; expected \"fit\", \"stretch\" or \"letterbox\"")]
    Fit { typed: String },
    #[error("{typed:?} is not absolute; expected a path that begins with `/`")]
    RelativeFolder { typed: String },
    #[error("{typed} is out of range; expected {} to {}", range.start(), range.end())]
    OutOfRange { typed: i64, range: RangeInclusive<u32> },
}

impl Config {
    /// More processes than any host has GPUs only take memory.
    pub(super) const SHARDS: RangeInclusive<u32> = 1..=64;
}

impl Export {
    /// Folder when the config names none.
    pub const DEFAULT_DIR: &str = vas_frame::DEFAULT_DIR;

    /// How long a frame stays readable when the config does not say.
    pub const DEFAULT_HOLD: Duration = Duration::from_millis(500);
    pub(super) const HOLD: RangeInclusive<Duration> =
        Duration::from_millis(1)..=Duration::from_secs(60);
    pub(super) const SLOTS: RangeInclusive<u32> = 1..=1024;

    /// Who may read it.
    pub fn access(&self) -> Access {
        Access {
            group: self.group.as_ref().map(|group| group.id),
            file_mode: self.mode.file_bits(),
        }
    }
}

impl Camera {
    /// Sides of exported frames, in pixels.
    pub(super) const PIXELS: RangeInclusive<u32> = 1..=vas_scale::MAX_SIDE;

    /// Whether frames are scaled for the export.
    pub fn scales_export(&self) -> bool {
        self.export_size.width.is_some() || self.export_size.height.is_some()
    }

    /// Both time limits when the config sets none.
    pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// Reasonable time limits. A camera that takes longer is broken; with less, it is never
    /// reached.
    pub(super) const TIMEOUTS: RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_secs(600);

    /// Whether anything takes decoded frames: readers, if `exports`, or an encoder.
    pub fn has_frames_taken(&self, exports: bool) -> bool {
        self.inputs.iter().any(|input| self.takes_frames_of(input.roles, exports))
    }

    fn takes_frames_of(&self, roles: Roles, exports: bool) -> bool {
        let encodes = self.producer.as_ref().is_some_and(|it| it.video == Video::H264);
        exports && roles.has(Role::Export) || encodes && roles.has(Role::Producer)
    }

    /// Whether a GPU may decode an input whose frames are taken.
    pub fn may_decode_on_gpu(&self, exports: bool) -> bool {
        self.decode != Decode::Software && self.has_frames_taken(exports)
    }
}

impl FromStr for Decode {
    type Err = SettingError;

    fn from_str(typed: &str) -> Result<Self, SettingError> {
        match typed {
            "auto" => Ok(Self::Auto),
            "software" => Ok(Self::Software),
            "nvdec" => Ok(Self::Nvdec),
            "vaapi" => Ok(Self::Vaapi),
            "cuda" | "vulkan" | "qsv" => Err(SettingError::DecodeNotBuilt { typed: typed.into() }),
            _ => Err(SettingError::Decode { typed: typed.into() }),
        }
    }
}

impl FromStr for GpuChoice {
    type Err = SettingError;

    fn from_str(typed: &str) -> Result<Self, SettingError> {
        let name = typed.strip_prefix("/dev/dri/").unwrap_or(typed);
        let node = name.strip_prefix("renderD").and_then(|number| number.parse().ok());
        match (typed, typed.parse(), node) {
            ("auto", ..) => Ok(Self::Auto),
            (_, Ok(number), _) => Ok(Self::Number(number)),
            (.., Some(node)) => Ok(Self::Node(node)),
            _ => Err(SettingError::Gpu { typed: typed.into() }),
        }
    }
}

impl FromStr for WhenIdle {
    type Err = SettingError;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        match typed {
            "stop" => Ok(Self::Stop),
            "decode" => Ok(Self::Decode),
            _ => Err(SettingError::Idle { typed: typed.into() }),
        }
    }
}

/// How a frame is fitted into the size of its export.
pub(super) fn fit(typed: &str) -> Result<Fit, SettingError> {
    match typed {
        "fit" => Ok(Fit::Fit),
        "stretch" => Ok(Fit::Stretch),
        "letterbox" => Ok(Fit::Letterbox),
        _ => Err(SettingError::Fit { typed: typed.into() }),
    }
}

impl fmt::Display for Decode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Nvdec => "nvdec",
            Self::Vaapi => "vaapi",
            Self::Software => "software",
        })
    }
}

impl fmt::Display for GpuChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Node(node) => write!(f, "/dev/dri/renderD{node}"),
        }
    }
}
