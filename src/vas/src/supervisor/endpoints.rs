//! The sockets of the producers: bound here, once, and passed to each process that is to send
//! through them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use vas_backoff::Backoff;
use vas_channel::ToShard;
use vas_config::{Camera, Config, Destinations};
use vas_endpoint::RtpEndpoint;
use vas_frame::CameraId;

/// One for each camera with a producer. A shard that dies takes none with it.
#[derive(Debug)]
pub(super) struct Endpoints {
    held: HashMap<CameraId, Held>,
    /// Cameras whose shards wait for theirs.
    missing: HashSet<CameraId>,
    retry_at: Option<Instant>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Held {
    to: Destinations,
    endpoint: RtpEndpoint,
}

impl Default for Endpoints {
    fn default() -> Self {
        let backoff = Backoff::jittered(u64::from(std::process::id()));
        Self { held: HashMap::new(), missing: HashSet::new(), retry_at: None, backoff }
    }
}

impl Endpoints {
    /// The endpoint that a shard needs to run a camera; `None` for a camera without a producer. If
    /// none can be created, that is logged, the camera runs without a producer, and is
    /// [due](Self::due) again later.
    pub(super) fn of(&mut self, camera: &Camera) -> Option<(ToShard, Vec<OwnedFd>)> {
        let producer = camera.producer.as_ref()?;
        let to = producer.destinations();
        if self.held.get(&camera.id).is_none_or(|held| held.to != to) {
            match RtpEndpoint::take(producer) {
                Ok(endpoint) => self.held.insert(camera.id.clone(), Held { to, endpoint }),
                Err(error) => return self.failed(camera, "create", &error),
            };
        }
        let held = self.held.get(&camera.id)?;
        match held.endpoint.share() {
            Ok(files) => {
                if self.missing.remove(&camera.id) {
                    tracing::info!(camera = %camera.id, "the sockets of its producer are there now");
                }
                let (camera, to) = (camera.id.to_string(), held.to.clone());
                Some((ToShard::Endpoint { camera, to, files: files.len() }, files))
            }
            Err(error) => self.failed(camera, "pass on", &error),
        }
    }

    fn failed<T>(&mut self, camera: &Camera, what: &str, error: &io::Error) -> Option<T> {
        if self.missing.insert(camera.id.clone()) {
            tracing::error!(camera = %camera.id, "can't {what} the sockets of its producer: {error}; trying again");
        }
        None
    }

    /// The cameras for which to ask again now, if it is time for that.
    pub(super) fn due(&mut self, now: Instant) -> Vec<CameraId> {
        if self.missing.is_empty() {
            self.backoff.reset();
            self.retry_at = None;
            return Vec::new();
        }
        match self.retry_at {
            Some(at) if now < at => Vec::new(),
            Some(_) => {
                self.retry_at = Some(now + self.backoff.failed());
                self.missing.iter().cloned().collect()
            }
            None => {
                self.retry_at = Some(now + self.backoff.failed());
                Vec::new()
            }
        }
    }

    /// Drops the endpoints of cameras that were removed or no longer have a producer.
    pub(super) fn keep(&mut self, config: &Config) {
        let has_producer = |id: &CameraId| {
            config.cameras.iter().any(|camera| camera.id == *id && camera.producer.is_some())
        };
        self.held.retain(|id, _| has_producer(id));
        self.missing.retain(has_producer);
    }
}
