//! Cameras of a config, with their streams from the status of a running service where there is one.

use vas_config::{CameraUrl, Config, Input, Role};
use vas_gate::Rate;
use vas_status::{CameraReport, InputStatus, ServiceStatus};

use crate::camera::{Basis, Camera, Codec, Stream};
use crate::price::per_second;

/// What the command line states for cameras of which nothing else is known.
#[derive(Clone, Debug, Default)]
pub struct Assumed {
    /// Their stream.
    pub stream: Option<Stream>,
    /// The most that readers ask for, of all cameras.
    pub read_fps: Option<Rate>,
}

/// Cameras whose streams nobody knows yet.
#[derive(Debug, thiserror::Error)]
#[error(
    "the streams of {} of {all} cameras are unknown ({}): no running service reports them; start it, or state \
     what to assume with --codec, --size and --fps",
    ids.len(), few(ids)
)]
pub struct NoStreams {
    ids: Vec<String>,
    all: usize,
}

fn few(ids: &[String]) -> String {
    match ids {
        [first, second, third, _, ..] => format!("{first}, {second}, {third}, ..."),
        ids => ids.join(", "),
    }
}

/// The cameras of a config.
///
/// # Errors
/// The stream of a camera is neither in the status nor in the config, and none is assumed.
pub fn cameras_of(
    config: &Config,
    status: Option<&ServiceStatus>,
    assumed: &Assumed,
) -> Result<Vec<Camera>, NoStreams> {
    let mut missing = Vec::new();
    let mut cameras = Vec::new();
    for camera in &config.cameras {
        let report = status.and_then(|status| {
            status.cameras.iter().find(|report| report.id == camera.id.as_str())
        });
        match planned(camera, report, assumed) {
            Some(camera) => cameras.push(camera),
            None => missing.push(camera.id.to_string()),
        }
    }
    if missing.is_empty() {
        return Ok(cameras);
    }
    Err(NoStreams { ids: missing, all: config.cameras.len() })
}

fn planned(
    camera: &vas_config::Camera,
    report: Option<&CameraReport>,
    assumed: &Assumed,
) -> Option<Camera> {
    let exported = camera.inputs.iter().find(|input| input.roles.has(Role::Export));
    let input = exported.or(camera.inputs.first())?;
    let reported = report.map(|report| &report.input);
    let (stream, basis) = reported
        .and_then(of_status)
        .map(|stream| (stream, Basis::Status))
        .or_else(|| of_pattern(input).map(|stream| (stream, Basis::Config)))
        .or_else(|| assumed.stream.clone().map(|stream| (stream, Basis::Assumed)))?;
    let records = camera.record.is_some();
    let read_fps = [camera.max_fps, assumed.read_fps].into_iter().flatten();
    let known = basis == Basis::Status && input.roles.has(Role::Record);
    Some(Camera {
        id: camera.id.to_string(),
        sent_bytes_s: reported.filter(|_| known).and_then(|status| sent(status, stream.fps)),
        stream,
        basis,
        read_fps: read_fps.min_by(|a, b| per_second(*a).total_cmp(&per_second(*b))),
        export_size: camera.export_size,
        exported: exported.is_some(),
        recorded: records,
        producer: camera.producer.as_ref().map(|producer| producer.video),
        other_inputs: u32::try_from(camera.inputs.len()).unwrap_or(u32::MAX).saturating_sub(1),
        decode: camera.decode,
        gpu: camera.gpu,
        gpu_bytes: report.and_then(|report| report.decoder.as_ref()?.gpu_bytes),
    })
}

/// The stream that a running service reports.
fn of_status(input: &InputStatus) -> Option<Stream> {
    let stream = input.stream.as_ref()?;
    let codec = stream.codec.parse().unwrap_or_else(|_| Codec::Other(stream.codec.clone()));
    // Three decimals: 29.97 is then 30000/1001 again.
    let fps = stream.fps.and_then(|fps| {
        let text = format!("{fps:.3}");
        text.trim_end_matches('0').trim_end_matches('.').parse().ok()
    });
    Some(Stream { codec, size: (stream.width?, stream.height?), fps })
}

fn of_pattern(input: &Input) -> Option<Stream> {
    let CameraUrl::TestPattern(pattern) = &input.url else { return None };
    let fps = Rate::new(pattern.fps.num(), pattern.fps.den());
    // A generated picture is not coded, and no GPU decodes it.
    let codec = Codec::Other("rawvideo".into());
    Some(Stream { codec, size: (pattern.width, pattern.height), fps })
}

/// Bytes a second that the camera has sent so far.
fn sent(input: &InputStatus, fps: Option<Rate>) -> Option<u64> {
    let each = input.received_bytes.checked_div(input.received)?;
    Some((each as f64 * per_second(fps?)) as u64)
}
