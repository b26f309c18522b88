//! The H.264 profile that a camera's producer sends, from the running service or from the camera.

use std::time::Duration;

use vas_config::{Camera, Config, Producer, Role, Video};
use vas_frame::{CameraId, monotonic_ns};
use vas_media::{Codec, EncodeError, EncoderRequest, Fraction, Frame, fit, open_x264};
use vas_rtp::{ParameterSets, ProfileLevelId};

use super::probe::{ProbeError, probe};

/// The largest age of a live service's status.
const MAX_AGE: Duration = Duration::from_secs(5);

/// Why there are no parameters.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoParameters {
    #[error("no camera {camera:?} in the config; expected one of: {known}")]
    NoCamera { camera: String, known: String },
    #[error("camera {camera:?} has no producer; add [camera.producer] with `rtp` to it")]
    NoProducer { camera: String },
    #[error("the camera sends {codec}, which WebRTC does not support; set `video = \"h264\"`")]
    NotH264 { codec: String },
    #[error("the camera's stream has no parameter sets (SPS, PPS); is it H.264?")]
    NoParameterSets,
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The profile that a service is sending.
pub(super) fn of_the_service(config: &Config, id: &CameraId) -> Option<ProfileLevelId> {
    let status = vas_status::read(&config.run_dir).ok()?.status;
    status.fresh(monotonic_ns(), MAX_AGE, || status.service.process.runs()).ok()?;
    let camera = status.cameras.iter().find(|camera| camera.id == id.as_str())?;
    ProfileLevelId::parse(camera.producer.as_ref()?.profile_level_id.as_ref()?)
}

/// The profile that would be sent.
pub(super) fn of_the_camera(
    camera: &Camera,
    producer: &Producer,
) -> Result<ProfileLevelId, NoParameters> {
    let input = camera.inputs.iter().find(|input| input.roles.has(Role::Producer));
    let Some(input) = input else {
        return Err(NoParameters::NoProducer { camera: camera.id.to_string() });
    };
    let _named = vas_media::log::name_thread(camera.id.as_str());
    let mut seen = probe(&vas_pipeline::request(input), Duration::from_millis(1))?;
    let parameters = match producer.video {
        Video::Copy if seen.stream.codec != Codec::H264 => {
            return Err(NoParameters::NotH264 { codec: seen.stream.codec.name().into() });
        }
        Video::Copy => ParameterSets::of(seen.stream.parameters.configuration()),
        Video::H264 => encode(&mut seen.newest, producer, seen.stream.fps)?,
    };
    parameters
        .and_then(|parameters| parameters.profile_level_id())
        .ok_or(NoParameters::NoParameterSets)
}

/// The parameter sets that result from encoding a picture.
fn encode(
    frame: &mut Frame,
    producer: &Producer,
    fps: Option<Fraction>,
) -> Result<Option<ParameterSets>, EncodeError> {
    let size = fit((frame.width(), frame.height()), (producer.max_width, producer.max_height));
    let mut encoder = open_x264(&EncoderRequest::new(size, fps, producer.bitrate_kbit))?;
    let packet = encoder.encode(frame, true)?;
    Ok(ParameterSets::of(packet.data()))
}
