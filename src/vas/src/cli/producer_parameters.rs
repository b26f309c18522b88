//! `vas producer-parameters`: a camera's stream parameters for MediaSoup.

use clap::Args;
use vas_config::{Camera, Config, Environment, Producer};
use vas_frame::CameraId;
use vas_producer::{identity, parameters};

use super::failure::Failure;
use super::profile::{NoParameters, of_the_camera, of_the_service};
use super::{ConfigArgs, stdout};

/// Print the argument of MediaSoup's plainTransport.produce() for a camera
///
/// The profile is that of the running service's stream; without a service, the command connects to
/// the camera. The JSON goes to standard output; a note on what the router also needs goes to
/// standard error.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ProducerParametersArgs {
    /// Id of the camera, as in the config.
    camera: CameraId,
    #[command(flatten)]
    config: ConfigArgs,
}

const EXAMPLES: &str = "\
Examples:
  vas producer-parameters gate --config cameras.toml
  vas producer-parameters gate -c cameras.toml | jq .rtpParameters.encodings[0].ssrc

docs/guide/mediasoup.md shows where to pass it.";

pub(super) fn run(args: &ProducerParametersArgs) -> Result<(), Failure> {
    let config = vas_config::load(&args.config.config, &Environment::of_this_process())?;
    let (camera, producer) = find(&config, &args.camera)?;
    let running = of_the_service(&config, &args.camera);
    let profile = running.map_or_else(|| of_the_camera(camera, producer), Ok)?;
    if let Some(words) = parameters::router_codec(profile) {
        eprintln!("{words}");
    }
    let argument = parameters::produce(&identity(&camera.id, producer), profile);
    stdout::write(&format!("{argument:#}\n"))
}

fn find<'a>(config: &'a Config, id: &CameraId) -> Result<(&'a Camera, &'a Producer), NoParameters> {
    let camera = config.cameras.iter().find(|camera| camera.id == *id).ok_or_else(|| {
        let known: Vec<_> = config.cameras.iter().map(|camera| camera.id.as_str()).collect();
        NoParameters::NoCamera { camera: id.to_string(), known: known.join(", ") }
    })?;
    let none = || NoParameters::NoProducer { camera: id.to_string() };
    Ok((camera, camera.producer.as_ref().ok_or_else(none)?))
}
