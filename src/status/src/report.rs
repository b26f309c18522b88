//! The documents: what a process says of its cameras, and what the service's files say.
//!
//! Plain values without behaviour: a process with cameras makes a [`ShardReport`], the process that writes
//! the files merges them into a [`ServiceStatus`], `vas status` and `vas health` read that. A field that is
//! `None` belongs to a part that is not there or says nothing. docs/ref/status.md explains each key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::process::ProcessId;
use super::state::{
    DecodedBy, DownloadEngine, ExportState, InputState, LossDetection, ProducerState,
    RecorderState, ShardState,
};

/// Version of `status.json`. It rises when a key changes its meaning or goes; keys are added without.
pub(crate) const SCHEMA: u32 = 1;

/// `status.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What stays the same as long as the service runs.
    #[serde(flatten)]
    pub service: Service,
    /// When this was written: `CLOCK_MONOTONIC`, which processes of a host share and nobody sets.
    pub written_ns: u64,
    /// Seconds since the service started.
    pub uptime_s: u64,
    /// The processes that have cameras; they are one, the service itself, when nothing divides it.
    pub shards: Vec<ShardStatus>,
    /// All cameras, in the order of the config within each shard.
    pub cameras: Vec<CameraReport>,
}

/// What stays the same as long as the service runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Of the program.
    pub version: String,
    /// The supervisor.
    #[serde(flatten)]
    pub process: ProcessId,
    /// Whether `AI_FRAME_EXPORT_ENABLED` is true.
    pub frame_export: bool,
}

/// A process with cameras, as the files show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// Its number, from 0.
    pub shard: u32,
    /// What the supervisor knows of it.
    #[serde(flatten)]
    pub health: ShardHealth,
    /// What it takes of memory.
    pub memory: MemoryReport,
    /// Panics in threads of the frame path that it got over.
    #[serde(default)]
    pub frame_path_panics: u64,
    /// How many cameras it has.
    pub cameras: usize,
}

/// What whoever looks after a shard knows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardHealth {
    /// `None`: no process is there.
    pub pid: Option<u32>,
    /// Whether its process is there.
    pub state: ShardState,
    /// Why it is not running; empty when it is.
    pub reason: String,
    /// How often its process was started again.
    pub restarts: u64,
}

/// What a process says of itself and of its cameras, each second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardReport {
    /// The shard that has it.
    pub shard: u32,
    /// Its process.
    pub pid: u32,
    /// What it takes of memory.
    pub memory: MemoryReport,
    /// Panics in threads of the frame path that it got over.
    pub frame_path_panics: u64,
    /// Its cameras.
    pub cameras: Vec<CameraReport>,
}

/// What a process takes of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// Memory of its own in RAM (`RssAnon`); `None` where `/proc` does not say.
    pub rss_anon_bytes: Option<u64>,
    /// Rings, those among them that are retired and wait to be freed included.
    pub ring_bytes: u64,
    /// Of these, pinned for a GPU.
    pub pinned_bytes: Option<u64>,
}

/// One camera. State, stream and packets are those of the input whose role is `export`, or of its first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CameraReport {
    /// Its id in the config.
    pub id: String,
    /// The shard that has it.
    pub shard: u32,
    /// The input whose role is `export`, or the first.
    #[serde(flatten)]
    pub input: InputStatus,
    /// Every input, that one among them.
    pub inputs: Vec<InputReport>,
    /// `None` while nothing is decoded.
    pub decoder: Option<DecoderReport>,
    /// Frames decoded.
    pub decoded: u64,
    /// Exported with a mark: corrupt, or after a loss.
    pub marked: u64,
    /// Frames published to readers.
    pub exported: u64,
    /// Packets and frames that went no further, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// `None` when frames are not exported.
    pub export: Option<ExportReport>,
    /// `None` when it is not recorded.
    pub recorder: Option<RecorderReport>,
    /// `None` when it has no producer.
    pub producer: Option<ProducerReport>,
}

/// One of a camera's inputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InputReport {
    /// What it is for: its roles, such as `record, producer`.
    pub input: String,
    /// How it does.
    #[serde(flatten)]
    pub status: InputStatus,
}

/// How an input does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InputStatus {
    /// What it is doing.
    pub state: InputState,
    /// Why, for people; empty when there is nothing to say. Without secrets.
    pub reason: String,
    /// How long it has been in this state.
    pub since_s: Option<u64>,
    /// `None` before the first connection.
    pub stream: Option<StreamReport>,
    /// Packets; with most cameras one is one coded picture.
    pub received: u64,
    /// Bytes of these packets.
    pub received_bytes: u64,
    /// Connections lost and tried again.
    pub reconnects: u64,
}

/// What a camera sends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamReport {
    /// Its codec in small letters, such as `h264`.
    pub codec: String,
    /// Pixels of a row; `None` before a picture says so.
    pub width: Option<u32>,
    /// Rows; `None` before a picture says so.
    pub height: Option<u32>,
    /// As it states it.
    pub fps: Option<f64>,
    /// How packets come.
    pub over: String,
    /// What speaks RTSP: `retina` or `ffmpeg`; `None` for a source that is no camera.
    #[serde(default)]
    pub client: Option<String>,
    /// Why it is not retina, where `rtsp_client` is `auto`.
    #[serde(default)]
    pub client_why: Option<String>,
    /// Whether lost packets are noticed.
    #[serde(default)]
    pub loss: LossDetection,
}

/// What decodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecoderReport {
    /// `none` when no decoder could be opened.
    pub kind: DecodedBy,
    /// The GPU that it decodes on.
    pub gpu: Option<String>,
    /// Bytes of that GPU's memory that its surfaces take, at least.
    pub gpu_bytes: Option<u64>,
    /// Why it is not a better one, or why there is none.
    pub why: Option<String>,
}

/// A camera's export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExportReport {
    /// Whether frames can be published.
    pub state: ExportState,
    /// Why it is refused.
    pub detail: String,
    /// Slots of the ring; 0 without one.
    pub slots: u32,
    /// Bytes of the ring that is open.
    pub ring_bytes: u64,
    /// How long a frame is promised to readers, in milliseconds.
    pub lease_ms: u64,
    /// Bytes of rings of before that wait to be freed.
    pub retired_bytes: u64,
    /// Bytes of the ring that are pinned for a GPU; `None` when no GPU writes into it.
    pub pinned_bytes: Option<u64>,
    /// Whether somebody reads.
    pub readers: bool,
    /// What readers ask for.
    pub demand: DemandReport,
    /// How old frames were when they were published.
    pub age: AgeReport,
    /// How frames come into the ring.
    pub download: Option<DownloadReport>,
}

/// What readers ask for. Readers of the same rate can't be told apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DemandReport {
    /// Whether somebody wants every frame.
    pub every_frame: bool,
    /// The rates that readers state, ascending; empty when somebody wants every frame.
    pub max_fps: Vec<f64>,
}

/// Ages of frames at their publication, from the arrival of their first packet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgeReport {
    /// Of the frames of the last minute; `None` when there was none.
    pub p50_ms: Option<f64>,
    /// The same for 99 of 100 frames.
    pub p99_ms: Option<f64>,
    /// Of all frames since the camera started, as that of a Prometheus histogram.
    pub sum_s: f64,
    /// Frames no older than 1, 2, 4, ... 65,536 ms, and all.
    pub buckets: Vec<u64>,
}

/// How frames come into the ring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DownloadReport {
    /// What copies frames.
    pub engine: DownloadEngine,
    /// Longest time from a frame's decode to its publication, since the last report.
    pub longest_ms: Option<f64>,
    /// Why it is not a better one, or what it lacks.
    pub why: Option<String>,
}

/// A camera's recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecorderReport {
    /// What it is doing.
    pub state: RecorderState,
    /// Why; empty when there is nothing to say.
    pub reason: String,
    /// The input that is recorded.
    pub input: String,
    /// The file that is being written.
    pub file: Option<String>,
    /// `aac`, `opus`, `none` or `left out: `, and why; empty before a stream came.
    #[serde(default)]
    pub sound: String,
    /// Files closed under their own name.
    pub files: u64,
    /// Bytes that the system took.
    pub written_bytes: u64,
    /// Packets that were given to a file.
    pub packets: u64,
    /// Packets that are in no file, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// A camera's stream to a MediaSoup PlainTransport.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProducerReport {
    /// What it is doing.
    pub state: ProducerState,
    /// Why; empty when there is nothing to say.
    pub reason: String,
    /// `copy` or `h264`.
    pub video: String,
    /// The transport's address.
    pub to: String,
    /// Ours.
    pub from: Option<String>,
    /// Synchronisation source (RFC 3550).
    pub ssrc: u32,
    /// RTP payload type.
    pub payload_type: u8,
    /// Of what is sent; `None` before the first key frame.
    pub profile_level_id: Option<String>,
    /// What encodes, to which size and rate; `None` when nothing is encoded.
    pub encoder: Option<String>,
    /// Pictures encoded.
    pub encoded: u64,
    /// Pictures that were sent, key frames among them.
    pub pictures: u64,
    /// Of these, key frames.
    pub key_frames: u64,
    /// RTP packets sent.
    pub packets: u64,
    /// RTP headers included.
    pub sent_bytes: u64,
    /// Pictures and packets that did not go out, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Requests for a key frame by the receiver. With `copy` they can't be met.
    pub pli: u64,
    /// The same by Full Intra Request (RFC 5104).
    pub fir: u64,
    /// Packets that the receiver says it has lost.
    pub receiver_lost: Option<u32>,
}
