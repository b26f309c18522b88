//! The sockets of the producers: bound here, once, and passed to each process that is to send
//! through them.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use vas_config::{Camera, Config, Destination};
use vas_frame::CameraId;
use vas_producer::RtpEndpoint;

use crate::channel::ToShard;

/// One for each camera with a producer. A shard that dies takes none with it.
#[derive(Debug, Default)]
pub(super) struct Endpoints(HashMap<CameraId, Held>);

#[derive(Debug)]
struct Held {
    /// The destinations of RTP and RTCP.
    to: (Destination, Option<Destination>),
    endpoint: RtpEndpoint,
}

impl Endpoints {
    /// The endpoint that a shard needs to run a camera; `None` for a camera without a producer. If
    /// none can be created, that is logged and the camera runs without a producer.
    pub(super) fn of(&mut self, camera: &Camera) -> Option<(ToShard, Vec<OwnedFd>)> {
        let producer = camera.producer.as_ref()?;
        let to = (producer.rtp.clone(), producer.rtcp.clone());
        if self.0.get(&camera.id).is_none_or(|held| held.to != to) {
            match RtpEndpoint::take(producer) {
                Ok(endpoint) => self.0.insert(camera.id.clone(), Held { to, endpoint }),
                Err(error) => {
                    tracing::error!(camera = %camera.id, "can't create the sockets of its producer: {error}");
                    return None;
                }
            };
        }
        match self.0.get(&camera.id)?.endpoint.share() {
            Ok(files) => {
                let message =
                    ToShard::Endpoint { camera: camera.id.to_string(), files: files.len() };
                Some((message, files))
            }
            Err(error) => {
                tracing::error!(camera = %camera.id, "can't pass on the sockets of its producer: {error}");
                None
            }
        }
    }

    /// Drops the endpoints of cameras that were removed or no longer have a producer.
    pub(super) fn keep(&mut self, config: &Config) {
        self.0.retain(|id, _| {
            config.cameras.iter().any(|camera| camera.id == *id && camera.producer.is_some())
        });
    }
}
