//! The documents: what a process says of its cameras, and what the service's files say.
//!
//! Plain values without behaviour: a process with cameras makes a [`ShardReport`], the process that writes
//! the files merges them into a [`ServiceStatus`], `vas status` and `vas health` read that. A field that is
//! `None` belongs to a part that is not there or says nothing. docs/ref/status.md explains each key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::process::ProcessId;

/// Version of `status.json`. It rises when a key changes its meaning or goes; keys are added without.
pub(crate) const SCHEMA: u32 = 1;

/// The state of a camera that crashes its shard: it is not started, and so can't say it itself.
pub(crate) const SET_APART: &str = "set apart";

/// `status.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServiceStatus {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    #[serde(flatten)]
    pub(crate) service: Service,
    /// When this was written: `CLOCK_MONOTONIC`, which processes of a host share and nobody sets.
    pub(crate) written_ns: u64,
    pub(crate) uptime_s: u64,
    /// The processes that have cameras; they are one, the service itself, when nothing divides it.
    pub(crate) shards: Vec<ShardStatus>,
    pub(crate) cameras: Vec<CameraReport>,
}

/// What stays the same as long as the service runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    /// Of the program.
    pub(crate) version: String,
    #[serde(flatten)]
    pub(crate) process: ProcessId,
    /// Whether `AI_FRAME_EXPORT_ENABLED` is true.
    pub(crate) frame_export: bool,
}

/// A process with cameras, as the files show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShardStatus {
    pub(crate) shard: u32,
    #[serde(flatten)]
    pub(crate) health: ShardHealth,
    pub(crate) memory: MemoryReport,
    /// Panics in threads of the frame path that it got over.
    #[serde(default)]
    pub(crate) frame_path_panics: u64,
    /// How many cameras it has.
    pub(crate) cameras: usize,
}

/// What whoever looks after a shard knows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardHealth {
    /// `None`: no process is there.
    pub(crate) pid: Option<u32>,
    pub(crate) state: ShardState,
    /// Why it is not running; empty when it is.
    pub(crate) reason: String,
    pub(crate) restarts: u64,
}

/// Whether a shard's process is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShardState {
    #[default]
    Starting,
    Running,
    /// Ended, and waiting to be started again.
    Waiting,
    /// Given up until a restart of the service.
    Failed,
}

/// What a process says of itself and of its cameras, each second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShardReport {
    pub(crate) shard: u32,
    pub(crate) pid: u32,
    pub(crate) memory: MemoryReport,
    /// Panics in threads of the frame path that it got over.
    pub(crate) frame_path_panics: u64,
    pub(crate) cameras: Vec<CameraReport>,
}

/// What a process takes of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryReport {
    /// Memory of its own in RAM (`RssAnon`); `None` where `/proc` does not say.
    pub(crate) rss_anon_bytes: Option<u64>,
    /// Rings, those among them that are retired and wait to be freed included.
    pub(crate) ring_bytes: u64,
    /// Of these, pinned for a GPU.
    pub(crate) pinned_bytes: Option<u64>,
}

/// One camera. State, stream and packets are those of the input whose role is `export`, or of its first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CameraReport {
    pub(crate) id: String,
    pub(crate) shard: u32,
    #[serde(flatten)]
    pub(crate) input: InputFacts,
    /// Every input, that one among them.
    pub(crate) inputs: Vec<InputReport>,
    /// `None` while nothing is decoded.
    pub(crate) decoder: Option<DecoderReport>,
    pub(crate) decoded: u64,
    /// Exported with a mark: corrupt, or after a loss.
    pub(crate) marked: u64,
    pub(crate) exported: u64,
    /// Packets and frames that went no further, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// `None` when frames are not exported.
    pub(crate) export: Option<ExportReport>,
    pub(crate) recorder: Option<RecorderReport>,
    /// `None` when it has no producer.
    pub(crate) producer: Option<ProducerReport>,
}

/// One of a camera's inputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct InputReport {
    /// What it is for: its roles, such as `record, producer`.
    pub(crate) input: String,
    #[serde(flatten)]
    pub(crate) facts: InputFacts,
}

/// How an input does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct InputFacts {
    /// A word of docs/ref/status.md.
    pub(crate) state: String,
    /// Why, for people; empty when there is nothing to say. Without secrets.
    pub(crate) reason: String,
    /// How long it has been in this state.
    pub(crate) since_s: Option<u64>,
    pub(crate) stream: Option<StreamReport>,
    /// Packets; with most cameras one is one coded picture.
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) reconnects: u64,
}

/// What a camera sends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StreamReport {
    pub(crate) codec: String,
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    /// As it states it.
    pub(crate) fps: Option<f64>,
    /// How packets come.
    pub(crate) over: String,
    /// What speaks RTSP: `retina` or `ffmpeg`; `None` for a source that is no camera.
    #[serde(default)]
    pub(crate) client: Option<String>,
    /// Why it is not retina, where `rtsp_client` is `auto`.
    #[serde(default)]
    pub(crate) client_why: Option<String>,
    /// `known`, or `unknown` where packets may be lost without notice.
    #[serde(default)]
    pub(crate) loss: String,
}

/// What decodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DecoderReport {
    /// `software`, `nvdec`, `vaapi`, or `none` when no decoder could be opened.
    pub(crate) kind: String,
    /// The GPU that it decodes on.
    pub(crate) gpu: Option<String>,
    /// Bytes of that GPU's memory that its surfaces take, at least.
    pub(crate) gpu_bytes: Option<u64>,
    /// Why it is not a better one, or why there is none.
    pub(crate) why: Option<String>,
}

/// A camera's export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportReport {
    /// `opening`, `open` or `refused`.
    pub(crate) state: String,
    /// Why it is refused.
    pub(crate) detail: String,
    pub(crate) slots: u32,
    pub(crate) ring_bytes: u64,
    pub(crate) lease_ms: u64,
    pub(crate) retired_bytes: u64,
    pub(crate) pinned_bytes: Option<u64>,
    /// Whether somebody reads.
    pub(crate) readers: bool,
    pub(crate) demand: DemandReport,
    /// How old frames were when they were published.
    pub(crate) age: AgeReport,
    pub(crate) download: Option<DownloadReport>,
}

/// What readers ask for. Readers of the same rate can't be told apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DemandReport {
    /// Whether somebody wants every frame.
    pub(crate) every_frame: bool,
    /// The rates that readers state, ascending; empty when somebody wants every frame.
    pub(crate) max_fps: Vec<f64>,
}

/// Ages of frames at their publication, from the arrival of their first packet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct AgeReport {
    /// Of the frames of the last minute; `None` when there was none.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// Of all frames since the camera started, as that of a Prometheus histogram.
    pub(crate) sum_s: f64,
    /// Frames no older than 1, 2, 4, ... 65,536 ms, and all.
    pub(crate) buckets: Vec<u64>,
}

/// How frames come into the ring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DownloadReport {
    /// `host`, `cuda`, or `none`.
    pub(crate) engine: String,
    /// Longest time from a frame's decode to its publication, since the last report.
    pub(crate) longest_ms: Option<f64>,
    /// Why it is not a better one, or what it lacks.
    pub(crate) why: Option<String>,
}

/// A camera's recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecorderReport {
    /// `waiting`, `recording`, `full` or `failed`.
    pub(crate) state: String,
    /// Why; empty when there is nothing to say.
    pub(crate) reason: String,
    /// The input that is recorded.
    pub(crate) input: String,
    /// The file that is being written.
    pub(crate) file: Option<String>,
    /// `aac`, `opus`, `none` or `left out: `, and why; empty before a stream came.
    #[serde(default)]
    pub(crate) sound: String,
    pub(crate) files: u64,
    pub(crate) written_bytes: u64,
    pub(crate) packets: u64,
    /// Packets that are in no file, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
}

/// A camera's stream to a MediaSoup PlainTransport.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProducerReport {
    /// `waiting`, `sending`, `peer_gone`, `refused` or `failed`.
    pub(crate) state: String,
    /// Why; empty when there is nothing to say.
    pub(crate) reason: String,
    /// `copy` or `h264`.
    pub(crate) video: String,
    /// The transport's address.
    pub(crate) to: String,
    /// Ours.
    pub(crate) from: Option<String>,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// Of what is sent; `None` before the first key frame.
    pub(crate) profile_level_id: Option<String>,
    /// What encodes, to which size and rate; `None` when nothing is encoded.
    pub(crate) encoder: Option<String>,
    pub(crate) encoded: u64,
    /// Pictures that were sent, key frames among them.
    pub(crate) pictures: u64,
    pub(crate) key_frames: u64,
    pub(crate) packets: u64,
    /// RTP headers included.
    pub(crate) sent_bytes: u64,
    /// Pictures and packets that did not go out, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Requests for a key frame by the receiver. With `copy` they can't be met.
    pub(crate) pli: u64,
    pub(crate) fir: u64,
    /// Packets that the receiver says it has lost.
    pub(crate) receiver_lost: Option<u32>,
}
