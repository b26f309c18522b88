//! Sends the camera's own H.264 unchanged.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use vas_config::Producer;
use vas_endpoint::{EndpointSlot, RtpEndpoint};
use vas_frame::CameraId;
use vas_pipeline::{Branch, BranchStats, Late, Limits, Packets, Wakeup};

use super::sending::Sending;
use super::stats::ProducerStats;

/// What may wait to be sent: older pictures are useless to viewers of live video.
const LIMITS: Limits = Limits { bytes: 16 << 20, wait: Some(Duration::from_secs(2)) };

/// The branch of an input that sends its packets.
pub struct Copy {
    camera: CameraId,
    producer: Producer,
    endpoint: Arc<EndpointSlot>,
    stats: Arc<ProducerStats>,
    /// What it takes from the system besides its thread.
    prepared: Option<Prepared>,
}

struct Prepared {
    endpoint: RtpEndpoint,
    wakeup: Arc<Wakeup>,
}

impl Copy {
    /// Sends through the endpoint that is in the slot when the branch starts.
    pub fn new(
        camera: &CameraId,
        producer: &Producer,
        endpoint: &Arc<EndpointSlot>,
        stats: &Arc<ProducerStats>,
    ) -> Self {
        Self {
            camera: camera.clone(),
            producer: producer.clone(),
            endpoint: Arc::clone(endpoint),
            stats: Arc::clone(stats),
            prepared: None,
        }
    }
}

impl Branch for Copy {
    fn job(&self) -> &'static str {
        "producer"
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn late(&self) -> Option<Late> {
        Some(Late::Producer)
    }

    fn prepare(&mut self) -> io::Result<()> {
        let endpoint = self.endpoint.get()?;
        self.prepared = Some(Prepared { endpoint, wakeup: Arc::new(Wakeup::new()?) });
        Ok(())
    }

    fn stats(&self) -> Arc<dyn BranchStats> {
        Arc::clone(&self.stats) as _
    }

    fn run(self: Box<Self>, packets: Arc<Packets>) {
        let Self { camera, producer, stats, prepared, .. } = *self;
        let Prepared { endpoint, wakeup } = prepared.expect("a branch is prepared before it runs");
        Sending::new(&camera, &producer, endpoint, packets, stats, wakeup, None).run();
    }
}
