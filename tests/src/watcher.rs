//! A reader process that sees every frame, and tells their ids.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::service::{Reader, Service};

/// Longest wait for a frame.
const PATIENCE: Duration = Duration::from_secs(60);

/// `vas watch` of one camera.
#[derive(Debug)]
pub struct Watcher {
    camera: String,
    frames: mpsc::Receiver<(u64, u64)>,
    _reader: Reader,
}

impl Watcher {
    /// Watches a camera from its next frame on.
    pub fn attach(service: &Service, camera: &str) -> Self {
        service.until_can_be_read(camera);
        let mut reader = Reader(service.watch(camera, &["--timeout", "3600"]));
        let lines = BufReader::new(reader.0.stdout.take().unwrap()).lines();
        let (told, frames) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines {
                let frame: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let number = |key: &str| frame[key].as_u64().unwrap();
                if told.send((number("frame_id"), number("epoch"))).is_err() {
                    return;
                }
            }
        });
        Self { camera: camera.into(), frames, _reader: reader }
    }

    /// Id and epoch of the next frame.
    pub fn next(&mut self) -> (u64, u64) {
        self.frames
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no frame of {} in {PATIENCE:?}", self.camera))
    }

    /// Checks that from frame `from` on, through `more` frames, none is missing and the ring stays; the last.
    pub fn no_gap_since(&mut self, from: (u64, u64), more: usize) -> (u64, u64) {
        let mut last = from;
        let mut waiting = Vec::new();
        waiting.extend(self.frames.try_iter());
        while waiting.len() < more {
            let next = self.next();
            waiting.push(next);
        }
        for next in waiting {
            assert_eq!(next, (last.0 + 1, from.1), "after {last:?} of {}", self.camera);
            last = next;
        }
        last
    }
}
