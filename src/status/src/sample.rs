//! A status in which every part is present, for tests.

use std::collections::BTreeMap;

use strum::VariantArray as _;

use super::export_report::*;
use super::process::ProcessId;
use super::report::*;
use super::state::*;
use crate::ages::Ages;
use crate::drops::{DropCounters, DropReason, NotProduced};

/// One shard with one camera that has every part.
pub fn full_status() -> ServiceStatus {
    let service =
        Service { version: "1.2.3".into(), process: ProcessId::own(), frame_export: true };
    let health = ShardHealth { pid: Some(1), state: ShardState::Running, ..ShardHealth::default() };
    let memory = MemoryReport {
        rss_anon_bytes: Some(1 << 20),
        ring_bytes: 1 << 22,
        pinned_bytes: Some(1 << 22),
    };
    let report = ShardReport {
        shard: 0,
        pid: 1,
        memory,
        frame_path_panics: 0,
        gpus: vec![full_gpu()],
        cameras: vec![full_camera("gate")],
    };
    let readers = ReadersReport { readers: vec![full_reader()], readers_left_out: 0 };
    ServiceStatus::merge(service, 3600, vec![(health, report)], readers)
}

fn full_reader() -> ReaderStatus {
    ReaderStatus {
        camera: "gate".into(),
        name: "people".into(),
        program: "python3".into(),
        pid: 4242,
        user_id: 1000,
        max_fps: Some(5.0),
        opened_s: 600,
        idle_s: Some(0),
        taken: 3000,
        missed: 40,
        overwritten: 12,
        last_minute: ReaderMinute {
            taken: 250,
            missed: 7,
            overwritten: 3,
            age_p50_ms: Some(41.0),
            age_p99_ms: Some(92.0),
        },
    }
}

fn full_gpu() -> GpuReport {
    let decodes = DecodesReport {
        codec: "H.265".into(),
        chroma: "4:2:0".into(),
        bits: 10,
        min_width: 144,
        min_height: 144,
        max_width: 8192,
        max_height: 8192,
        max_macroblocks: 262_144,
        engines: 2,
    };
    GpuReport {
        gpu: "0".into(),
        name: "NVIDIA T4".into(),
        cameras: 1,
        memory_bytes: 16 << 30,
        free_bytes: 15 << 30,
        surfaces_bytes: 75_202_560,
        engines: Some(2),
        engines_busy: Some(0.032),
        decodes: Some(vec![decodes]),
    }
}

/// A camera that has every part.
pub fn full_camera(id: &str) -> CameraReport {
    let stream = StreamReport {
        codec: "h264".into(),
        width: Some(1920),
        height: Some(1080),
        fps: Some(25.0),
        over: "tcp".into(),
        client: Some("ffmpeg".into()),
        client_why: Some("retina lacks RTSP over TLS (rtsps://)".into()),
        loss: LossDetection::Unknown,
    };
    let input = InputStatus {
        state: InputState::Streaming,
        since_s: Some(60),
        stream: Some(stream),
        received: 1000,
        received_bytes: 5_000_000,
        reconnects: 1,
        ..InputStatus::default()
    };
    let mut dropped = DropCounters::<DropReason>::default().by_reason();
    dropped.insert("lease".into(), 3);
    dropped.insert("overload".into(), 2);
    CameraReport {
        id: id.into(),
        shard: 0,
        inputs: vec![InputReport { input: "main".into(), status: input.clone() }],
        input,
        decoder: Some(DecoderReport {
            kind: DecodedBy::Software,
            gpu_bytes: Some(75_202_560),
            gpu: Some("0".into()),
            why: Some("no GPU".into()),
        }),
        decoded: 990,
        decode_panics: 0,
        marked: 4,
        exported: 900,
        dropped,
        export: Some(full_export().into()),
        recorder: Some(RecorderReport {
            state: RecorderState::Recording,
            input: "main".into(),
            file: Some("gate/1.mp4".into()),
            files: 1,
            written_bytes: 4096,
            packets: 1000,
            dropped: [("overload".to_owned(), 1)].into(),
            ..RecorderReport::default()
        }),
        producer: Some(ProducerReport {
            state: ProducerState::Sending,
            since_s: Some(12),
            video: "copy".into(),
            to: "127.0.0.1:40000".into(),
            from: Some("127.0.0.1:50000".into()),
            ssrc: 7,
            payload_type: 96,
            profile_level_id: Some("4d001f".into()),
            encoder: Some("libx264".into()),
            pictures: 1000,
            key_frames: 20,
            packets: 4000,
            sent_bytes: 5_000_000,
            dropped: not_produced(),
            pli: 3,
            fir: 1,
            receiver_lost: Some(0),
            ..ProducerReport::default()
        }),
    }
}

fn not_produced() -> BTreeMap<String, u64> {
    let dropped = DropCounters::default();
    NotProduced::VARIANTS.iter().for_each(|why| dropped.add(*why, 1));
    dropped.by_reason()
}

fn full_export() -> ExportReport {
    let ages = Ages::default();
    ages.record(30_000_000);
    ages.record(60_000_000);
    ExportReport {
        state: ExportState::Open,
        slots: 13,
        ring_bytes: 1 << 22,
        huge_bytes: 1 << 22,
        lease_ms: 250,
        pinned_bytes: Some(1 << 22),
        readers: true,
        polled: Some(PolledReason::NoWatch),
        demand: DemandReport { every_frame: false, max_fps: vec![5.0, 29.971] },
        age: AgeReport {
            p50_ms: ages.counts().quantile_ms(500),
            p99_ms: ages.counts().quantile_ms(990),
            sum_s: 0.09,
            buckets: ages.counts().cumulative(),
        },
        download: Some(DownloadReport {
            engine: DownloadEngine::Host,
            longest_ms: Some(1.5),
            why: Some("no GPU".into()),
        }),
        ..ExportReport::default()
    }
}
