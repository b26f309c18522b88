//! A reader process that sees every frame, and reports their ids.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::service::{Reader, Service};

/// Longest wait for a frame.
const PATIENCE: Duration = Duration::from_secs(60);

/// Frames after which a reader gets every frame.
const SETTLES: usize = 5;

/// `vas watch` of one camera.
#[derive(Debug)]
pub struct Watcher {
    camera: String,
    frames: mpsc::Receiver<(u64, u64)>,
    _reader: Reader,
}

impl Watcher {
    /// Watches a camera from one of its next frames on. Among the first, frames that arrived before the reader
    /// attached are left out; with B-frames these need not be the very first.
    pub fn attach(service: &Service, camera: &str) -> Self {
        service.until_can_be_read(camera);
        let mut reader = Reader(service.watch(camera, &["--timeout", "3600"]));
        let lines = BufReader::new(reader.0.stdout.take().unwrap()).lines();
        let (sender, frames) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines {
                let frame: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let number = |key: &str| frame[key].as_u64().unwrap();
                if sender.send((number("frame_id"), number("epoch"))).is_err() {
                    return;
                }
            }
        });
        let mut watcher = Self { camera: camera.into(), frames, _reader: reader };
        for _ in 0..SETTLES {
            watcher.next_frame();
        }
        watcher
    }

    /// Id and epoch of the next frame.
    pub fn next_frame(&mut self) -> (u64, u64) {
        self.frames
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no frame of {} in {PATIENCE:?}", self.camera))
    }

    /// Checks `more` frames from frame `from` on: the ring stays the same, and no frame is missing except those
    /// dropped on a busy machine, which the service counts. Returns the last id.
    pub fn no_gap_since(
        &mut self,
        service: &mut Service,
        from: (u64, u64),
        more: usize,
    ) -> (u64, u64) {
        let mut seen: Vec<_> = self.frames.try_iter().collect();
        while seen.len() < more {
            seen.push(self.next_frame());
        }
        let last = *seen.last().unwrap();
        assert!(
            seen.iter().all(|frame| frame.1 == from.1),
            "{} has another ring: {seen:?}",
            self.camera
        );
        let missing = last.0 - from.0 - seen.len() as u64;
        let zero = Value::from(0);
        let status = service.until_camera(&self.camera, "counts of the missing frames", |camera| {
            camera["dropped"]["in_flight"].as_u64() >= Some(missing)
        });
        if missing > 0 {
            println!("{}: {missing} frames were dropped on a busy machine", self.camera);
        }
        for why in ["overload", "before_key", "undecodable", "lease", "copy_failed"] {
            assert_eq!(status["dropped"][why], zero, "{status}");
        }
        assert_eq!(status["reconnects"], zero, "{status}");
        last
    }
}
