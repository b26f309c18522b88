//! `vas producer-parameters`: a camera's stream parameters for MediaSoup.

use vas_cli::{ProducerParametersArgs, stdout};
use vas_config::{Camera, Config, Environment, Producer};
use vas_frame::CameraId;
use vas_producer::{identity, parameters};

use super::profile::{NoParameters, of_the_camera, of_the_service};
use crate::failure::Failure;

pub(crate) fn run(args: &ProducerParametersArgs) -> Result<(), Failure> {
    let config = vas_config::load(&args.config.config, &Environment::of_this_process())?;
    let (camera, producer) = find(&config, &args.camera)?;
    let running = of_the_service(&config, &args.camera);
    let profile = running.map_or_else(|| of_the_camera(camera, producer), Ok)?;
    if let Some(words) = parameters::router_codec(profile) {
        eprintln!("{words}");
    }
    let argument = parameters::produce(&identity(&camera.id, producer), profile);
    stdout::write(&format!("{argument:#}\n")).map_err(Failure::Stdout)
}

fn find<'a>(config: &'a Config, id: &CameraId) -> Result<(&'a Camera, &'a Producer), NoParameters> {
    let camera = config.cameras.iter().find(|camera| camera.id == *id).ok_or_else(|| {
        let known: Vec<_> = config.cameras.iter().map(|camera| camera.id.as_str()).collect();
        NoParameters::NoCamera { camera: id.to_string(), known: known.join(", ") }
    })?;
    let none = || NoParameters::NoProducer { camera: id.to_string() };
    Ok((camera, camera.producer.as_ref().ok_or_else(none)?))
}
