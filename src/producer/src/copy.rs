//! The camera's own H.264, as it came.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use vas_frame::CameraId;

use super::sending::Sending;
use super::{Seat, Shown};
use crate::config::Producer;
use crate::pipeline::{Branch, BranchShown, Limits, Packets, Wakeup};

/// What may wait to be sent: pictures older than that are of no use to viewers of live video.
const LIMITS: Limits = Limits { bytes: 16 << 20, wait: Some(Duration::from_secs(2)) };

/// The branch of an input that sends its packets.
pub(crate) struct Copy {
    camera: CameraId,
    producer: Producer,
    seat: Seat,
    shown: Arc<Shown>,
    wakeup: Arc<Wakeup>,
}

impl Copy {
    /// # Errors
    /// When the process has no descriptor left.
    pub(crate) fn new(
        camera: &CameraId,
        producer: &Producer,
        seat: Seat,
        shown: &Arc<Shown>,
    ) -> io::Result<Self> {
        Ok(Self {
            camera: camera.clone(),
            producer: producer.clone(),
            seat,
            shown: Arc::clone(shown),
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

    fn shown(&self) -> Arc<dyn BranchShown> {
        Arc::clone(&self.shown) as _
    }

    fn run(self: Box<Self>, packets: Arc<Packets>) {
        let Self { camera, producer, seat, shown, wakeup } = *self;
        Sending::new(&camera, &producer, seat, packets, shown, wakeup, None).run();
    }
}
