//! One reader for each of many cameras, in one process: `readers [--max-fps N] DIR CAMERA...`.
//!
//! Each waits for frames and copies them, as a model's process would. Each line on standard input is answered by
//! a line of JSON, the frames of each camera so far; the end of the input ends the process.

#![forbid(unsafe_code)]

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vas_frame::{CameraId, Nv12Image, Reader};

/// Longest wait for a frame, after which a reader is reopened.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look for a camera that does not exist yet.
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let max_fps = arguments.next_if_eq("--max-fps").map(|_| {
        let rate = arguments.next().and_then(|rate| rate.parse().ok());
        rate.expect("frames a second behind --max-fps")
    });
    let dir = PathBuf::from(arguments.next().expect("usage: readers [--max-fps N] DIR CAMERA..."));
    let counts: Vec<_> = arguments
        .map(|camera| {
            let count = Arc::new(AtomicU64::new(0));
            let id = CameraId::new(&camera).expect("an id as in a config");
            let (dir, of_thread) = (dir.clone(), Arc::clone(&count));
            std::thread::spawn(move || read(&dir, &id, max_fps, &of_thread));
            (camera, count)
        })
        .collect();
    for _ in std::io::stdin().lock().lines() {
        let counts = counts
            .iter()
            .map(|(camera, count)| format!("\"{camera}\": {}", count.load(Ordering::Relaxed)));
        let line = format!("{{{}}}", counts.collect::<Vec<_>>().join(", "));
        println!("{line}");
        std::io::stdout().flush().expect("standard output is open");
    }
}

fn read(dir: &Path, camera: &CameraId, max_fps: Option<u32>, count: &AtomicU64) {
    let mut image = Nv12Image::default();
    loop {
        let mut options = Reader::options().dir(dir).timeout(PATIENCE);
        if let Some(rate) = max_fps {
            options = options.max_fps(rate);
        }
        let Ok(mut reader) = options.open(camera) else {
            std::thread::sleep(LOOK_EVERY);
            continue;
        };
        while let Ok(frame) = reader.newer() {
            if frame.copy_if_valid(&mut image).is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
