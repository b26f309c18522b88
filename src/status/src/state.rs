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
    /// Being connected to.
    #[default]
    Connecting,
    /// Delivering packets.
    Streaming,
    /// Waiting before it is tried again, for none of the reasons below; the reason says what failed.
    Waiting,
    /// Nothing came any more. As with all states up to `Garbage`, it is tried again.
    Silent,
    /// It answers or sends something, but no whole picture comes.
    Stalled,
    /// It refused the login.
    Refused,
    /// There is no way to it, or nobody answers there.
    Unreachable,
    /// It has no video under this path, or none that can be decoded.
    #[serde(rename = "no video")]
    #[strum(serialize = "no video")]
    NoVideo,
    /// What it sends makes no sense.
    Garbage,
    /// A file that was played to its end.
    Ended,
    /// Given up until a restart; the reason says why.
    Failed,
    /// Its camera crashes shards, and is not started for a while (docs/design/shards.md).
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
    /// A GPU of NVIDIA.
    Nvdec,
    /// A GPU by VA-API.
    Vaapi,
}

/// Whether a camera's frames can be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ExportState {
    /// There is no ring yet: it comes with the first reader.
    #[default]
    Opening,
    /// There is a ring.
    Open,
    /// There is none for now; the detail says why.
    Refused,
}

/// What brings decoded pictures into the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DownloadEngine {
    /// A thread of the processor.
    #[default]
    Host,
    /// A GPU's copy engine.
    Cuda,
    /// Nothing, for now.
    None,
}

/// What a recorder is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RecorderState {
    /// Nothing comes that could be recorded.
    #[default]
    Waiting,
    /// A file is being written.
    Recording,
    /// The disk has no room; it goes on when there is some.
    Full,
    /// Something else keeps it from recording; it is tried again.
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
    /// RTP goes out.
    Sending,
    /// Nobody is at the other end, or there is no way to it.
    PeerGone,
    /// The camera's video can't go out like this.
    Refused,
    /// It stays off until a restart.
    Failed,
}

/// Whether a shard's process is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ShardState {
    /// It was started, and has not reported yet.
    #[default]
    Starting,
    /// It reports.
    Running,
    /// Ended, and waiting to be started again.
    Waiting,
    /// Given up until a restart of the service.
    Failed,
}
