//! Sends the camera's own H.264 unchanged.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use vas_config::Producer;
use vas_frame::CameraId;
use vas_pipeline::{Branch, BranchStats, Limits, Packets, Wakeup};

use super::endpoint::RtpEndpoint;
use super::sending::Sending;
use super::stats::ProducerStats;

/// What may wait to be sent: older pictures are useless to viewers of live video.
const LIMITS: Limits = Limits { bytes: 16 << 20, wait: Some(Duration::from_secs(2)) };

/// The branch of an input that sends its packets.
pub struct Copy {
    camera: CameraId,
    producer: Producer,
    endpoint: RtpEndpoint,
    stats: Arc<ProducerStats>,
    wakeup: Arc<Wakeup>,
}

impl Copy {
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new(
        camera: &CameraId,
        producer: &Producer,
        endpoint: RtpEndpoint,
        stats: &Arc<ProducerStats>,
    ) -> io::Result<Self> {
        Ok(Self {
            camera: camera.clone(),
            producer: producer.clone(),
            endpoint,
            stats: Arc::clone(stats),
            wakeup: Arc::new(Wakeup::new()?),
        })
    }
}

impl Branch for Copy {
    fn job(&self) -> &'static str {
        "producer"
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn stats(&self) -> Arc<dyn BranchStats> {
        Arc::clone(&self.stats) as _
    }

    fn run(self: Box<Self>, packets: Arc<Packets>) {
        let Self { camera, producer, endpoint, stats, wakeup } = *self;
        Sending::new(&camera, &producer, endpoint, packets, stats, wakeup, None).run();
    }
}
