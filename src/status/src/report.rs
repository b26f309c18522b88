//! The documents: a process's report on its cameras, and the service's status.
//!
//! Plain values without behaviour: a process with cameras makes a [`ShardReport`], the process that
//! writes the files merges them into a [`ServiceStatus`], `vas status` and `vas health` read that.
//! A field is `None` where its part does not exist or reports nothing. docs/ref/status.md explains
//! each key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::export_report::SharedExport;
use super::process::ProcessId;
use super::state::{
    DecodedBy, InputState, LossDetection, ProducerState, RecorderState, ShardState,
};

/// Version of `status.json`. It rises when a key changes its meaning or is removed, not when one is
/// added.
pub(crate) const SCHEMA: u32 = 1;

/// `status.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What stays the same as long as the service runs.
    #[serde(flatten)]
    pub service: Service,
    /// When this was written: `CLOCK_MONOTONIC`, which all processes of a host share and nothing
    /// sets.
    pub written_ns: u64,
    /// Seconds since the service started.
    pub uptime_s: u64,
    /// The processes that have cameras; without sharding one, the service itself.
    pub shards: Vec<ShardStatus>,
    /// All cameras, in the order of the config within each shard.
    pub cameras: Vec<CameraReport>,
    /// The readers that state what they do.
    #[serde(flatten)]
    pub readers: ReadersReport,
}

/// The readers that state what they do, by camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadersReport {
    /// The readers, as they state it.
    #[serde(default)]
    pub readers: Vec<ReaderStatus>,
    /// Readers beyond the most that are listed.
    #[serde(default)]
    pub readers_left_out: usize,
}

/// A reader, as it states itself: a claim of another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReaderStatus {
    /// The camera that it reads.
    pub camera: String,
    /// The name that its user gave it; may be empty.
    pub name: String,
    /// The file name of its program; may be empty.
    pub program: String,
    /// Its process id, as the process sees itself.
    pub pid: u32,
    /// The user that owns its file.
    pub user_id: u32,
    /// The rate that it asks for; `None`: every frame.
    pub max_fps: Option<f64>,
    /// Seconds since it was opened.
    pub opened_s: u64,
    /// Seconds since it last took a frame; `None` before the first.
    pub idle_s: Option<u64>,
    /// Frames that it took.
    pub taken: u64,
    /// Frames that were overwritten before it took them, of a reader that wants every frame, as far as it knows.
    #[serde(default)]
    pub missed: u64,
    /// Frames that were overwritten while it read them.
    pub overwritten: u64,
    /// The last 30 to 60 s.
    pub last_minute: ReaderMinute,
}

/// What a reader did in the last 30 to 60 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReaderMinute {
    /// Frames that it took.
    pub taken: u64,
    /// Frames that were overwritten before it took them.
    #[serde(default)]
    pub missed: u64,
    /// Frames that were overwritten while it read them.
    pub overwritten: u64,
    /// Median age of frames when it took them; `None` without frames.
    pub age_p50_ms: Option<f64>,
    /// The same for 99 in 100 frames.
    pub age_p99_ms: Option<f64>,
}

impl ReaderStatus {
    /// How it is named for people: by its user, or else by its program.
    #[must_use]
    pub fn label(&self) -> &str {
        match (self.name.as_str(), self.program.as_str()) {
            ("", "") => "a reader",
            ("", program) => program,
            (name, _) => name,
        }
    }

    /// Whether it is too slow for the ring: it lost frames in the last minute.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.last_minute.lost() > 0
    }
}

impl ReaderMinute {
    /// Frames that were overwritten before the reader had read them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.missed.saturating_add(self.overwritten)
    }
}

/// What stays the same as long as the service runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Version of the program.
    pub version: String,
    /// The supervisor.
    #[serde(flatten)]
    pub process: ProcessId,
    /// Whether `AI_FRAME_EXPORT_ENABLED` is true.
    pub frame_export: bool,
}

/// A process with cameras, as in the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// Its number, from 0.
    pub shard: u32,
    /// The supervisor's view of it.
    #[serde(flatten)]
    pub health: ShardHealth,
    /// The memory that it uses.
    pub memory: MemoryReport,
    /// Panics that its frame path's threads survived.
    #[serde(default)]
    pub frame_path_panics: u64,
    /// The GPUs that it has opened.
    #[serde(default)]
    pub gpus: Vec<GpuReport>,
    /// How many cameras it has.
    pub cameras: usize,
}

/// The supervisor's view of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardHealth {
    /// `None`: it has no process.
    pub pid: Option<u32>,
    /// The state of its process.
    pub state: ShardState,
    /// Why it is not running; empty when it is.
    pub reason: String,
    /// How often its process was restarted.
    pub restarts: u64,
}

/// What a process reports of itself and its cameras, each second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardReport {
    /// Its shard.
    pub shard: u32,
    /// Its process id.
    pub pid: u32,
    /// The memory that it uses.
    pub memory: MemoryReport,
    /// Panics that its frame path's threads survived.
    pub frame_path_panics: u64,
    /// The GPUs that it has opened.
    pub gpus: Vec<GpuReport>,
    /// Its cameras.
    pub cameras: Vec<CameraReport>,
}

/// The memory that a process uses, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// Anonymous memory in RAM (`RssAnon`); `None` if `/proc` does not state it.
    pub rss_anon_bytes: Option<u64>,
    /// Rings, including retired ones that wait to be freed.
    pub ring_bytes: u64,
    /// Of these, pinned for a GPU.
    pub pinned_bytes: Option<u64>,
}

/// A GPU that a process has opened, by the driver's answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuReport {
    /// Its number, as in [`DecoderReport::gpu`].
    pub gpu: String,
    /// The driver's name for it.
    pub name: String,
    /// Cameras of this process that decode on it, resting ones included.
    pub cameras: u32,
    /// Its device memory.
    pub memory_bytes: u64,
    /// How much of it was free when a decoder was last admitted or refused.
    pub free_bytes: u64,
    /// What the surfaces of this process's decoders take of it.
    pub surfaces_bytes: u64,
    /// Its NVDEC engines; `None` if the driver does not say.
    pub engines: Option<u32>,
    /// Engines that this process's decoders keep busy by published rates; `None`: none is published.
    pub engines_busy: Option<f64>,
    /// What its NVDEC decodes; `None` if the driver does not say.
    pub decodes: Option<Vec<DecodesReport>>,
}

/// A format that NVDEC decodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodesReport {
    /// Its codec, such as `H.265`.
    pub codec: String,
    /// Its chroma format, such as `4:2:0`.
    pub chroma: String,
    /// Bits of a sample.
    pub bits: u8,
    /// Least width in pixels.
    pub min_width: u32,
    /// Least height in pixels.
    pub min_height: u32,
    /// Largest width in pixels.
    pub max_width: u32,
    /// Largest height in pixels.
    pub max_height: u32,
    /// Most macroblocks of a picture.
    pub max_macroblocks: u32,
    /// Engines that decode it.
    pub engines: u32,
}

/// One camera. State, stream and packets are those of the input whose role is `export`, or of its
/// first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CameraReport {
    /// Its id in the config.
    pub id: String,
    /// Its shard.
    pub shard: u32,
    /// The input whose role is `export`, or the first.
    #[serde(flatten)]
    pub input: InputStatus,
    /// Every input, including that one.
    pub inputs: Vec<InputReport>,
    /// `None` while nothing is decoded.
    pub decoder: Option<DecoderReport>,
    /// Frames decoded.
    pub decoded: u64,
    /// Panics that its decode thread got over.
    #[serde(default)]
    pub decode_panics: u64,
    /// Exported with a mark: corrupt, or after a loss.
    pub marked: u64,
    /// Frames published to readers.
    pub exported: u64,
    /// Packets and frames that were dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// `None` when frames are not exported.
    pub export: Option<SharedExport>,
    /// `None` when it is not recorded.
    pub recorder: Option<RecorderReport>,
    /// `None` when it has no producer.
    pub producer: Option<ProducerReport>,
}

/// One of a camera's inputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InputReport {
    /// Its roles, such as `record, producer`.
    pub input: String,
    /// Its state and counters.
    #[serde(flatten)]
    pub status: InputStatus,
}

/// State and counters of an input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InputStatus {
    /// What it is doing.
    pub state: InputState,
    /// Why, for people; empty when there is nothing to report. Without secrets.
    pub reason: String,
    /// How long it has been in this state.
    pub since_s: Option<u64>,
    /// `None` before the first connection.
    pub stream: Option<StreamReport>,
    /// Packets; with most cameras one is one coded picture.
    pub received: u64,
    /// Bytes of these packets.
    pub received_bytes: u64,
    /// Connections lost and retried.
    pub reconnects: u64,
}

/// What a camera sends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamReport {
    /// Its codec in lower case, such as `h264`.
    pub codec: String,
    /// Width in pixels; `None` until a picture states it.
    pub width: Option<u32>,
    /// Height in pixels; `None` until a picture states it.
    pub height: Option<u32>,
    /// As the stream states it.
    pub fps: Option<f64>,
    /// How packets are carried.
    pub over: String,
    /// The RTSP client: `retina` or `ffmpeg`; `None` for a source that is no camera.
    #[serde(default)]
    pub client: Option<String>,
    /// Why the client is not retina, where `rtsp_client` is `auto`.
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

/// A camera's recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecorderReport {
    /// What it is doing.
    pub state: RecorderState,
    /// Why; empty when there is nothing to report.
    pub reason: String,
    /// The input that is recorded.
    pub input: String,
    /// The file that is being written.
    pub file: Option<String>,
    /// `aac`, `opus`, `none` or `left out: ` and why; empty before the first stream.
    #[serde(default)]
    pub sound: String,
    /// Files closed under their own name.
    pub files: u64,
    /// Bytes that the system accepted.
    pub written_bytes: u64,
    /// Packets that were written to a file.
    pub packets: u64,
    /// Packets that are in no file, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// A camera's stream to a MediaSoup PlainTransport.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProducerReport {
    /// What it is doing.
    pub state: ProducerState,
    /// Why; empty when there is nothing to report.
    pub reason: String,
    /// How long it has been in this state.
    pub since_s: Option<u64>,
    /// `copy` or `h264`.
    pub video: String,
    /// The transport's address.
    pub to: String,
    /// Our address.
    pub from: Option<String>,
    /// Synchronisation source (RFC 3550).
    pub ssrc: u32,
    /// RTP payload type.
    pub payload_type: u8,
    /// Of the stream that is sent; `None` before the first key frame.
    pub profile_level_id: Option<String>,
    /// The encoder, its size and rate; `None` when nothing is encoded.
    pub encoder: Option<String>,
    /// Pictures encoded.
    pub encoded: u64,
    /// Pictures that were sent, including key frames.
    pub pictures: u64,
    /// Of these, key frames.
    pub key_frames: u64,
    /// RTP packets sent.
    pub packets: u64,
    /// RTP headers included.
    pub sent_bytes: u64,
    /// Pictures and packets that were not sent, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Requests for a key frame by the receiver. With `copy` they can't be met.
    pub pli: u64,
    /// The same by Full Intra Request (RFC 5104).
    pub fir: u64,
    /// Packets that the receiver reports as lost.
    pub receiver_lost: Option<u32>,
}
