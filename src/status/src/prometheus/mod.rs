//! `vas.prom`: the status in Prometheus's text format, for the textfile collector of node_exporter.
//!
//! Names and units follow Prometheus's conventions: seconds, bytes, `_total` for counters. Reasons
//! are for people and no labels: each new wording would be a new series.

mod text;

use std::iter;

use super::export_report::{AgeReport, ExportReport};
use super::report::{
    CameraReport, InputReport, ProducerReport, ReaderStatus, RecorderReport, ServiceStatus,
    ShardStatus,
};
use super::state::{ExportState, InputState, ProducerState, RecorderState, ShardState};
use crate::ages::AgeCounts;
use crate::drops::DropReason;

use text::{Kind, Text};

/// The whole file.
pub(crate) fn render(status: &ServiceStatus) -> String {
    let mut text = Text::default();
    service(&mut text, status);
    shards(&mut text, &status.shards);
    inputs(&mut text, &status.cameras);
    frames(&mut text, &status.cameras);
    exports(&mut text, &status.cameras);
    readers(&mut text, status);
    recorders(&mut text, &status.cameras);
    producers(&mut text, &status.cameras);
    text.into_string()
}

fn service(text: &mut Text, status: &ServiceStatus) {
    let service = &status.service;
    let version = [("version", service.version.as_str())];
    text.family("vas_build_info", Kind::Gauge, "The running version; always 1.", [(version, 1)]);
    text.family(
        "vas_uptime_seconds",
        Kind::Gauge,
        "Time since the service started.",
        [([], status.uptime_s)],
    );
    text.family(
        "vas_frame_export_enabled",
        Kind::Gauge,
        "Whether AI_FRAME_EXPORT_ENABLED is true.",
        [([], u8::from(service.frame_export))],
    );
}

fn shards(text: &mut Text, shards: &[ShardStatus]) {
    let mut each = |name, kind, help, value: &dyn Fn(&ShardStatus) -> Option<u64>| {
        let samples = shards.iter().filter_map(|shard| Some((shard.shard, value(shard)?)));
        let samples: Vec<_> = samples.map(|(shard, value)| (shard.to_string(), value)).collect();
        let samples = samples.iter().map(|(shard, value)| ([("shard", shard.as_str())], value));
        text.family(name, kind, help, samples);
    };
    each("vas_shard_up", Kind::Gauge, "Whether the shard's process is running.", &|shard| {
        Some(u64::from(shard.health.state == ShardState::Running))
    });
    each("vas_shard_restarts_total", Kind::Counter, "Restarts of the process.", &|shard| {
        Some(shard.health.restarts)
    });
    each("vas_shard_cameras", Kind::Gauge, "Cameras assigned to the process.", &|shard| {
        Some(shard.cameras as u64)
    });
    each(
        "vas_shard_rss_anon_bytes",
        Kind::Gauge,
        "Anonymous memory of the process in RAM (RssAnon).",
        &|shard| shard.memory.rss_anon_bytes,
    );
    each(
        "vas_shard_frame_path_panics_total",
        Kind::Counter,
        "Panics in threads of the frame path from which the process recovered.",
        &|shard| Some(shard.frame_path_panics),
    );
    each(
        "vas_shard_ring_bytes",
        Kind::Gauge,
        "Size of all rings, including retired ones.",
        &|shard| Some(shard.memory.ring_bytes),
    );
    each("vas_shard_pinned_bytes", Kind::Gauge, "Size of the rings pinned for a GPU.", &|shard| {
        shard.memory.pinned_bytes
    });
}

fn inputs(text: &mut Text, cameras: &[CameraReport]) {
    let all = || {
        let inputs =
            |camera: &'_ CameraReport| iter::repeat_n(camera.id.clone(), camera.inputs.len());
        let ids = cameras.iter().flat_map(inputs);
        ids.zip(cameras.iter().flat_map(|camera| &camera.inputs)).collect::<Vec<_>>()
    };
    let all = all();
    let mut each = |name, kind, help, value: &dyn Fn(&InputReport) -> Option<u64>| {
        let samples = all.iter().filter_map(|(id, input)| {
            let labels = [("camera", id.as_str()), ("input", input.input.as_str())];
            Some((labels, value(input)?))
        });
        text.family(name, kind, help, samples);
    };
    each("vas_input_up", Kind::Gauge, "Whether the input delivers packets.", &|input| {
        Some(u64::from(input.status.state == InputState::Streaming))
    });
    each(
        "vas_input_state_age_seconds",
        Kind::Gauge,
        "Time since the input entered its state.",
        &|input| input.status.since_s,
    );
    each("vas_packets_received_total", Kind::Counter, "Packets received.", &|input| {
        Some(input.status.received)
    });
    each("vas_received_bytes_total", Kind::Counter, "Bytes of the packets received.", &|input| {
        Some(input.status.received_bytes)
    });
    each("vas_reconnects_total", Kind::Counter, "Lost connections that were retried.", &|input| {
        Some(input.status.reconnects)
    });
    let states = all.iter().map(|(id, input)| {
        let state = input.status.state.into();
        ([("camera", id.as_str()), ("input", &input.input), ("state", state)], 1)
    });
    text.family(
        "vas_input_state",
        Kind::Gauge,
        "State of the input, as a label; always 1.",
        states,
    );
}

fn frames(text: &mut Text, cameras: &[CameraReport]) {
    let mut each = |name, help, value: &dyn Fn(&CameraReport) -> u64| {
        let samples =
            cameras.iter().map(|camera| ([("camera", camera.id.as_str())], value(camera)));
        text.family(name, Kind::Counter, help, samples);
    };
    each("vas_frames_decoded_total", "Frames decoded.", &|camera| camera.decoded);
    each(
        "vas_decode_panics_total",
        "Internal errors that the decode thread survived.",
        &|camera| camera.decode_panics,
    );
    each("vas_frames_exported_total", "Frames published to readers.", &|camera| camera.exported);
    each(
        "vas_frames_marked_total",
        "Frames published with a mark: corrupt, or after a loss.",
        &|camera| camera.marked,
    );
    for (name, help, of_packets) in [
        ("vas_packets_dropped_total", "Packets that were not decoded, by reason.", true),
        ("vas_frames_dropped_total", "Frames that were not published, by reason.", false),
    ] {
        let dropped = cameras.iter().flat_map(|camera| {
            let dropped = camera.dropped.iter();
            let dropped = dropped.filter(|(why, _)| is_of_packets(why) == of_packets);
            dropped.map(|(why, count)| ([("camera", camera.id.as_str()), ("reason", why)], count))
        });
        text.family(name, Kind::Counter, help, dropped);
    }
    let decoders = cameras.iter().filter_map(|camera| {
        let decoder = camera.decoder.as_ref()?;
        let gpu = decoder.gpu.as_deref().unwrap_or_default();
        Some(([("camera", camera.id.as_str()), ("decoder", decoder.kind.into()), ("gpu", gpu)], 1))
    });
    text.family(
        "vas_decoder_info",
        Kind::Gauge,
        "Decoder of the camera, as labels; always 1.",
        decoders,
    );
}

/// A reason that only another version knows counts as one of frames.
fn is_of_packets(why: &str) -> bool {
    why.parse().is_ok_and(DropReason::is_of_packets)
}

/// A value of an export; `None`: it has no sample.
type ExportValue = fn(&ExportReport) -> Option<f64>;

/// The families of exports, all gauges, with their helps.
const EXPORTS: [(&str, &str, ExportValue); 10] = [
    ("vas_export_up", "Whether frames can be published.", |export| {
        Some(f64::from(u8::from(export.state == ExportState::Open)))
    }),
    ("vas_ring_slots", "Slots of the ring.", |export| Some(f64::from(export.slots))),
    ("vas_ring_bytes", "Size of the ring.", |export| Some(export.ring_bytes as f64)),
    ("vas_ring_huge_bytes", "Part of the ring that huge pages back.", |export| {
        Some(export.huge_bytes as f64)
    }),
    ("vas_ring_retired_bytes", "Retired rings waiting to be freed.", |export| {
        Some(export.retired_bytes as f64)
    }),
    ("vas_ring_pinned_bytes", "Part of the ring that is pinned for a GPU.", |export| {
        export.pinned_bytes.map(|bytes| bytes as f64)
    }),
    (
        "vas_ring_lease_seconds",
        "How long a published frame is guaranteed to stay readable.",
        |export| Some(export.lease_ms as f64 / 1000.0),
    ),
    ("vas_readers_present", "Whether any reader is attached.", |export| {
        Some(f64::from(u8::from(export.readers)))
    }),
    ("vas_readers_every_frame", "Whether any reader wants every frame.", |export| {
        Some(f64::from(u8::from(export.demand.every_frame)))
    }),
    ("vas_readers_max_fps", "Highest rate that a reader requests.", |export| {
        export.demand.max_fps.last().copied()
    }),
];

fn exports(text: &mut Text, cameras: &[CameraReport]) {
    let all = cameras.iter();
    let all = all.filter_map(|camera| Some(camera.export.as_ref()?.samples(&camera.id, samples)));
    let all: Vec<_> = all.collect();
    let mut family = |name, kind, help, number: usize| {
        text.family(name, kind, help, iter::empty::<([_; 0], u64)>());
        all.iter().for_each(|samples| text.rendered(&samples[number]));
    };
    for (number, (name, help, _)) in EXPORTS.into_iter().enumerate() {
        family(name, Kind::Gauge, help, number);
    }
    family(
        "vas_frame_age_seconds",
        Kind::Histogram,
        "Age of frames at publication, from the arrival of their first packet.",
        EXPORTS.len(),
    );
}

/// Readers by camera. Their names are no labels: whoever may write into the readers directory could make any number of
/// series.
fn readers(text: &mut Text, status: &ServiceStatus) {
    let mut each = |name, help, value: &dyn Fn(&[&ReaderStatus]) -> Option<f64>| {
        let samples = status.cameras.iter().filter(|camera| camera.export.is_some());
        let samples = samples.filter_map(|camera| {
            let all = status.readers.readers.iter().filter(|reader| reader.camera == camera.id);
            Some(([("camera", camera.id.as_str())], value(&all.collect::<Vec<_>>())?))
        });
        text.family(name, Kind::Gauge, help, samples);
    };
    each("vas_readers_listed", "Readers that state what they do.", &|readers| {
        Some(readers.len() as f64)
    });
    each(
        "vas_readers_slow",
        "Of these, readers that lost frames in the last minute.",
        &|readers| Some(readers.iter().filter(|reader| reader.is_slow()).count() as f64),
    );
    each(
        "vas_readers_age_p99_seconds",
        "Highest 99th percentile that a reader states of the age of frames when it takes them.",
        &|readers| {
            let ages = readers.iter().filter_map(|reader| reader.last_minute.age_p99_ms);
            ages.max_by(f64::total_cmp).map(|ms| ms / 1000.0)
        },
    );
}

/// A camera's samples in each family of exports, and those of the ages.
fn samples(camera: &str, export: &ExportReport) -> Vec<String> {
    let gauges = EXPORTS.iter().map(|(name, _, value)| {
        let mut text = Text::default();
        if let Some(value) = value(export) {
            text.sample(name, &[("camera", camera)], value);
        }
        text.into_string()
    });
    let mut text = Text::default();
    ages(&mut text, camera, &export.age);
    gauges.chain([text.into_string()]).collect()
}

fn ages(text: &mut Text, camera: &str, age: &AgeReport) {
    const NAME: &str = "vas_frame_age_seconds";
    let bounds = AgeCounts::bounds_ms().map(|ms| (ms as f64 / 1000.0).to_string());
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&age.buckets) {
        text.sample(&format!("{NAME}_bucket"), &[("camera", camera), ("le", &bound)], count);
    }
    text.sample(&format!("{NAME}_sum"), &[("camera", camera)], age.sum_s);
    let count = age.buckets.last().copied().unwrap_or_default();
    text.sample(&format!("{NAME}_count"), &[("camera", camera)], count);
}

fn recorders(text: &mut Text, cameras: &[CameraReport]) {
    let mut each = |name, kind, help, value: &dyn Fn(&RecorderReport) -> u64| {
        let samples = cameras.iter().filter_map(|camera| {
            let recorder = camera.recorder.as_ref()?;
            let labels = [("camera", camera.id.as_str()), ("input", recorder.input.as_str())];
            Some((labels, value(recorder)))
        });
        text.family(name, kind, help, samples);
    };
    each("vas_recorder_up", Kind::Gauge, "Whether the camera is being recorded.", &|recorder| {
        u64::from(recorder.state == RecorderState::Recording)
    });
    each(
        "vas_recorder_files_total",
        Kind::Counter,
        "Files completed and given their final name.",
        &|recorder| recorder.files,
    );
    each("vas_recorder_written_bytes_total", Kind::Counter, "Bytes written.", &|recorder| {
        recorder.written_bytes
    });
    each("vas_recorder_packets_total", Kind::Counter, "Packets recorded.", &|recorder| {
        recorder.packets
    });
    each(
        "vas_recorder_dropped_packets_total",
        Kind::Counter,
        "Packets that were not recorded.",
        &|recorder| recorder.dropped.values().sum(),
    );
}

fn producers(text: &mut Text, cameras: &[CameraReport]) {
    let all = || {
        let producers =
            cameras.iter().filter_map(|camera| Some((camera, camera.producer.as_ref()?)));
        producers.map(|(camera, producer)| (camera.id.as_str(), producer))
    };
    let mut each = |name, kind, help, value: &dyn Fn(&ProducerReport) -> u64| {
        let samples = all().map(|(id, producer)| ([("camera", id)], value(producer)));
        text.family(name, kind, help, samples);
    };
    each("vas_producer_up", Kind::Gauge, "Whether RTP is being sent.", &|producer| {
        u64::from(producer.state == ProducerState::Sending)
    });
    each("vas_producer_packets_total", Kind::Counter, "RTP packets sent.", &|producer| {
        producer.packets
    });
    each("vas_producer_sent_bytes_total", Kind::Counter, "Bytes of RTP sent.", &|producer| {
        producer.sent_bytes
    });
    each(
        "vas_producer_key_frame_requests_total",
        Kind::Counter,
        "Key frames requested by the receiver.",
        &|producer| producer.pli + producer.fir,
    );
    let dropped = all().flat_map(|(id, producer)| {
        let reasons = producer.dropped.iter();
        reasons.map(move |(why, count)| ([("camera", id), ("reason", why.as_str())], count))
    });
    text.family(
        "vas_producer_dropped_total",
        Kind::Counter,
        "Pictures, frames or packets that were not sent.",
        dropped,
    );
}

#[cfg(test)]
mod strict;
#[cfg(test)]
mod tests;
