//! The words of the status: each is a variant, named once, for serde and for people.

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

/// What an input is doing.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum InputState {
    /// Connecting.
    #[default]
    Connecting,
    /// Delivering packets.
    Streaming,
    /// Waiting before a retry, for none of the reasons below; the reason states what failed.
    Waiting,
    /// Packets stopped. As in all states up to `Garbage`, it is retried.
    Silent,
    /// It answers or sends something, but no complete picture arrives.
    Stalled,
    /// It refused the login.
    Refused,
    /// It can't be reached, or nothing answers there.
    Unreachable,
    /// It has no video under this path, or none that can be decoded.
    #[serde(rename = "no video")]
    #[strum(serialize = "no video")]
    NoVideo,
    /// It sends data that can't be parsed.
    Garbage,
    /// A file that was played to its end.
    Ended,
    /// Given up until a restart; the reason states why.
    Failed,
    /// Its camera crashes shards and is quarantined for a while (docs/design/shards.md).
    #[serde(rename = "set apart")]
    #[strum(serialize = "set apart")]
    SetApart,
}

/// Whether packets that are lost between the camera and this host are noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LossDetection {
    /// Each loss is noticed.
    Known,
    /// Packets may be lost without notice.
    #[default]
    Unknown,
}

/// What decodes a camera.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DecodedBy {
    /// Nothing: no decoder could be opened.
    #[default]
    None,
    /// The processor.
    Software,
    /// An NVIDIA GPU.
    Nvdec,
    /// A GPU through VA-API.
    Vaapi,
}

/// Whether a camera's frames can be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ExportState {
    /// There is no ring yet: it is opened with the first reader.
    #[default]
    Opening,
    /// There is a ring.
    Open,
    /// There is none for now; the detail states why.
    Refused,
}

/// What copies decoded pictures into the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DownloadEngine {
    /// A thread of the processor.
    #[default]
    Host,
    /// A GPU's copy engine.
    Cuda,
    /// A thread of the processor, from surfaces that VA-API decoded.
    Vaapi,
    /// Nothing, for now.
    None,
}

/// Why readers of an export are polled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PolledReason {
    /// The system has no inotify instance or watch left.
    NoWatch,
    /// `readers` is opened or closed too often to handle each event.
    TooManyEvents,
}

/// What a recorder is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RecorderState {
    /// Nothing arrives that could be recorded.
    #[default]
    Waiting,
    /// A file is being written.
    Recording,
    /// The disk is full; recording resumes when there is room.
    Full,
    /// Another fault prevents recording; it is retried.
    Failed,
}

/// What a producer is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ProducerState {
    /// No picture has come from the camera, or none for a while.
    #[default]
    Waiting,
    /// RTP is being sent.
    Sending,
    /// Nothing listens at the other end, or it can't be reached.
    PeerGone,
    /// The camera's video can't be sent as it is.
    Refused,
    /// It is not running; the reason says why, and whether it is retried.
    Failed,
}

/// The state of a shard's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ShardState {
    /// It was started and has not reported yet.
    #[default]
    Starting,
    /// It reports.
    Running,
    /// It has ended and waits to be restarted.
    Waiting,
    /// Given up until a restart of the service.
    Failed,
}
