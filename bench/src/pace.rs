//! A camera's pace, at which a bench of the frame path is judged.
//!
//! Between two frames of a camera its threads sleep, other cameras use the processor, and a virtual machine may lose
//! it. A loop without pauses finds data, page tables and threads warm, and reports a fraction of the real cost.

use std::time::{Duration, Instant};

/// From one frame of a camera to the next.
pub const PERIOD: Duration = Duration::from_nanos(33_333_333);

/// How many cameras a paced bench runs with, in turns.
pub const CAMERAS: [usize; 3] = [1, 4, 16];

/// When the frames of several cameras are due: each camera has one every [`PERIOD`], evenly after one another.
#[derive(Debug)]
pub struct Pace {
    cameras: usize,
    next: usize,
    due: Instant,
}

impl Pace {
    /// The first frame is due now.
    #[must_use]
    pub fn new(cameras: usize) -> Self {
        Self { cameras, next: 0, due: Instant::now() }
    }

    /// Sleeps until the next frame is due, and returns its camera's index. Frames that are
    /// late by more than the distance of two are not caught up with: they would come without a pause.
    pub fn next_camera(&mut self) -> usize {
        let apart = PERIOD / self.cameras as u32;
        std::thread::sleep(self.due.saturating_duration_since(Instant::now()));
        let late = self.due.elapsed() > apart;
        self.due = if late { Instant::now() } else { self.due } + apart;
        let camera = self.next;
        self.next = (camera + 1) % self.cameras;
        camera
    }
}
