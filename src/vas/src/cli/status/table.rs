//! The status as a table for people.

use std::fmt::Write as _;
use std::time::Duration;

use vas_status::{
    CameraReport, DecoderReport, DropReason, ExportReport, InputStatus, ReaderStatus,
    ServiceStatus, ShardState,
};

const HEAD: [&str; 11] = [
    "CAMERA",
    "STATE",
    "FOR",
    "STREAM",
    "DECODER",
    "IN/S",
    "DECODED/S",
    "EXPORTED/S",
    "DROPPED/S",
    "AGE P50/P99",
    "READERS",
];
/// Unknown, or does not apply.
const NONE: &str = "-";

/// `now` as a table; with rates if there is a status from `before`.
pub(super) fn render(before: Option<&ServiceStatus>, now: &ServiceStatus) -> String {
    let mut out = head(now);
    let rows: Vec<_> = now.cameras.iter().map(|camera| row(before, now, camera)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).map(|cell| cell.chars().count());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let mut line = |cells: &[String; HEAD.len()]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    };
    line(&HEAD.map(str::to_owned));
    for (row, camera) in rows.iter().zip(&now.cameras) {
        line(row);
        for note in notes(camera) {
            line(&indented(&note));
        }
    }
    out.push_str(&readers_table(before, now));
    out
}

const READERS_HEAD: [&str; 8] =
    ["READER", "CAMERA", "PROCESS", "WANTS", "TAKEN/S", "LOST", "AGE P50/P99", "IDLE"];

/// The readers that state what they do; nothing if there is none.
fn readers_table(before: Option<&ServiceStatus>, now: &ServiceStatus) -> String {
    let all = &now.readers.readers;
    if all.is_empty() {
        return String::new();
    }
    let mut rows = vec![READERS_HEAD.map(str::to_owned)];
    rows.extend(all.iter().map(|reader| reader_row(before, now, reader)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; READERS_HEAD.len()] =
        std::array::from_fn(|column| width(column).unwrap_or_default());
    let mut out = String::from("\n");
    let mut line = |cells: &[String; READERS_HEAD.len()]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    rows.iter().for_each(&mut line);
    for reader in all.iter().filter(|reader| reader.is_slow()) {
        let lost = reader.last_minute.lost();
        let _ = writeln!(
            out,
            "{} (process {}) is slow: in the last minute it lost {lost} of {} frames of {}, which were overwritten first",
            reader.label(),
            reader.pid,
            reader.last_minute.taken.saturating_add(reader.last_minute.missed).max(lost),
            reader.camera,
        );
    }
    if now.readers.readers_left_out > 0 {
        let _ = writeln!(out, "{} more readers are not listed", now.readers.readers_left_out);
    }
    out
}

fn reader_row(
    before: Option<&ServiceStatus>,
    now: &ServiceStatus,
    reader: &ReaderStatus,
) -> [String; READERS_HEAD.len()] {
    let is_same = |other: &&ReaderStatus| {
        (&other.camera, &other.name, other.pid, other.user_id)
            == (&reader.camera, &reader.name, reader.pid, reader.user_id)
    };
    let rate = before.and_then(|before| {
        let earlier = before.readers.readers.iter().find(is_same)?;
        let seconds = now.written_ns.saturating_sub(before.written_ns) as f64 / 1e9;
        // A counter that fell is another reader's.
        let taken = reader.taken.checked_sub(earlier.taken)?;
        (seconds > 0.0).then(|| format!("{:.1}", taken as f64 / seconds))
    });
    let minute = &reader.last_minute;
    let ages = minute.age_p50_ms.zip(minute.age_p99_ms);
    [
        reader.label().to_owned(),
        reader.camera.clone(),
        reader.pid.to_string(),
        reader.max_fps.map_or("all".into(), |fps| format!("{fps}/s")),
        rate.unwrap_or_else(|| NONE.into()),
        minute.lost().to_string(),
        ages.map_or(NONE.into(), |(p50, p99)| format!("{p50:.0}/{p99:.0} ms")),
        reader.idle_s.map_or(NONE.into(), span),
    ]
}

/// A separate line below a camera.
fn indented(note: &str) -> [String; HEAD.len()] {
    let mut cells: [String; HEAD.len()] = Default::default();
    cells[0] = format!("  {note}");
    cells
}

fn head(status: &ServiceStatus) -> String {
    let service = &status.service;
    let export = if service.frame_export { "on" } else { "off" };
    let mut out = format!(
        "vas {}, process {}, up {}, frame export {export}\n",
        service.version,
        service.process.pid,
        span(status.uptime_s),
    );
    for shard in &status.shards {
        let health = &shard.health;
        if health.state != ShardState::Running || health.restarts > 0 || status.shards.len() > 1 {
            let state = health.state;
            let memory = shard.memory.rss_anon_bytes.map_or(NONE.into(), mib);
            let reason = if health.reason.is_empty() { "" } else { ": " };
            let _ = writeln!(
                out,
                "shard {}: {state}{reason}{}, {} cameras, {} restarts, {memory} and {} of rings",
                shard.shard,
                health.reason,
                shard.cameras,
                health.restarts,
                mib(shard.memory.ring_bytes),
            );
        }
    }
    out
}

fn row(
    before: Option<&ServiceStatus>,
    now: &ServiceStatus,
    camera: &CameraReport,
) -> [String; HEAD.len()] {
    let seconds =
        before.map(|before| now.written_ns.saturating_sub(before.written_ns) as f64 / 1e9);
    let earlier = before.and_then(|before| before.cameras.iter().find(|c| c.id == camera.id));
    let rate = |value: &dyn Fn(&CameraReport) -> u64| match (earlier, seconds) {
        (Some(earlier), Some(seconds)) if seconds > 0.0 => {
            // A counter that fell was reset: its process was restarted.
            let rise = value(camera).checked_sub(value(earlier));
            rise.map_or(NONE.into(), |rise| format!("{:.1}", rise as f64 / seconds))
        }
        _ => NONE.into(),
    };
    let export = camera.export.as_ref();
    [
        camera.id.clone(),
        camera.input.state.to_string(),
        camera.input.since_s.map_or(NONE.into(), span),
        stream(&camera.input),
        camera.decoder.as_ref().map_or(NONE.into(), decoder),
        rate(&|camera| camera.input.received),
        rate(&|camera| camera.decoded),
        rate(&|camera| camera.exported),
        // An unwanted frame is not a loss.
        rate(&|camera| lost(camera)),
        export.map_or(NONE.into(), |export| ages(export)),
        export.map_or(NONE.into(), |export| readers(export)),
    ]
}

fn lost(camera: &CameraReport) -> u64 {
    let is_unwanted = |why: &str| why.parse().is_ok_and(DropReason::is_unwanted);
    let dropped = camera.dropped.iter().filter(|(why, _)| !is_unwanted(why));
    dropped.map(|(_, count)| count).sum()
}

fn stream(input: &InputStatus) -> String {
    let Some(stream) = &input.stream else { return NONE.into() };
    match (stream.width, stream.height) {
        (Some(width), Some(height)) => format!("{} {width}x{height}", stream.codec),
        _ => stream.codec.clone(),
    }
}

fn decoder(decoder: &DecoderReport) -> String {
    match &decoder.gpu {
        Some(gpu) => format!("{} {gpu}", decoder.kind),
        None => decoder.kind.to_string(),
    }
}

fn ages(export: &ExportReport) -> String {
    match (export.age.p50_ms, export.age.p99_ms) {
        (Some(p50), Some(p99)) => format!("{p50:.1}/{p99:.1} ms"),
        _ => NONE.into(),
    }
}

fn readers(export: &ExportReport) -> String {
    if !export.readers {
        return "none".into();
    }
    if export.demand.every_frame {
        return "every frame".into();
    }
    let rates: Vec<_> = export.demand.max_fps.iter().map(ToString::to_string).collect();
    format!("{} FPS", rates.join(", "))
}

/// What does not fit into the row: reasons, further inputs, limitations.
fn notes(camera: &CameraReport) -> Vec<String> {
    let mut notes = Vec::new();
    if !camera.input.reason.is_empty() {
        notes.push(camera.input.reason.clone());
    }
    let sent = camera.input.stream.as_ref();
    if let Some(why) = sent.and_then(|sent| sent.client_why.as_ref()) {
        notes.push(format!("RTSP by FFmpeg's client, loss unknown: {why}"));
    }
    if camera.inputs.len() > 1 {
        for input in &camera.inputs {
            let status = &input.status;
            let reason = if status.reason.is_empty() { "" } else { ": " };
            let (state, stream) = (status.state, stream(status));
            notes.push(format!("{}: {stream}, {state}{reason}{}", input.input, status.reason));
        }
    }
    if let Some(DecoderReport { kind, why: Some(why), .. }) = &camera.decoder {
        notes.push(format!("decoder {kind}: {why}"));
    }
    if let Some(export) = camera.export.as_ref().filter(|export| !export.detail.is_empty()) {
        notes.push(format!("export {}: {}", export.state, export.detail));
    }
    if let Some(recorder) = &camera.recorder {
        let reason = if recorder.reason.is_empty() { "" } else { ": " };
        let (state, reason) = (recorder.state, format!("{reason}{}", recorder.reason));
        notes.push(format!("recorder {state}{reason}, {}", mib(recorder.written_bytes)));
    }
    notes
}

/// The two largest units of a time.
fn span(seconds: u64) -> String {
    let duration = Duration::from_secs(seconds).as_secs();
    match duration {
        0..60 => format!("{duration} s"),
        60..3600 => format!("{} min", duration / 60),
        3600..86_400 => format!("{} h {} min", duration / 3600, duration % 3600 / 60),
        _ => format!("{} d {} h", duration / 86_400, duration % 86_400 / 3600),
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vas_status::sample::{full_camera, full_status};
    use vas_status::{InputState, ReaderMinute};

    #[test]
    fn rates_are_per_second_between_two_samples() {
        let before = full_status();
        let mut now = before.clone();
        now.written_ns += 2_000_000_000;
        now.cameras[0].decoded += 50;
        now.cameras[0].exported += 10;
        *now.cameras[0].dropped.get_mut("lease").unwrap() += 1;
        *now.cameras[0].dropped.get_mut("not_demanded").unwrap() += 40;
        let mut away = full_camera("yard");
        (away.input.state, away.input.reason) = (InputState::Waiting, "no route to host".into());
        (away.export, away.recorder, away.decoder, away.input.stream) = (None, None, None, None);
        now.cameras.push(away);
        now.readers.readers[0].taken += 10;
        let minute = ReaderMinute {
            taken: 0,
            missed: 0,
            overwritten: 0,
            age_p50_ms: None,
            age_p99_ms: None,
        };
        let new = ReaderStatus {
            camera: "yard".into(),
            name: String::new(),
            pid: 77,
            max_fps: None,
            idle_s: None,
            last_minute: minute,
            ..now.readers.readers[0].clone()
        };
        now.readers.readers.push(new);
        now.readers.readers_left_out = 2;
        let pid = now.service.process.pid;
        assert_eq!(
            render(Some(&before), &now),
            format!(
                "\
vas 1.2.3, process {pid}, up 1 h 0 min, frame export on
CAMERA  STATE      FOR    STREAM          DECODER     IN/S  DECODED/S  EXPORTED/S  DROPPED/S  AGE P50/P99   READERS
gate    streaming  1 min  h264 1920x1080  software 0  0.0   25.0       5.0         0.5        30.0/60.0 ms  5, 29.971 FPS
  RTSP by FFmpeg's client, loss unknown: retina lacks RTSP over TLS (rtsps://)
  decoder software: no GPU
  recorder recording, 0.0 MiB
yard    waiting    1 min  -               -           -     -          -           -          -             -
  no route to host

READER   CAMERA  PROCESS  WANTS  TAKEN/S  LOST  AGE P50/P99  IDLE
people   gate    4242     5/s    5.0      10    41/92 ms     0 s
python3  yard    77       all    -        0     -            -
people (process 4242) is slow: in the last minute it lost 10 of 257 frames of gate, which were overwritten first
2 more readers are not listed
"
            )
        );
    }

    #[test]
    fn one_sample_yields_no_rates_and_a_restart_no_wrong_ones() {
        let now = full_status();
        assert!(!render(None, &now).contains("0.0  "), "{}", render(None, &now));
        let mut before = now.clone();
        before.written_ns -= 1_000_000_000;
        before.cameras[0].decoded = 10_000;
        let line = render(Some(&before), &now);
        assert!(line.contains("0.0   -  "), "{line}");
    }

    #[test]
    fn spans_are_short() {
        let spans = [59, 61, 3700, 90_000].map(span);
        assert_eq!(spans, ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }
}
