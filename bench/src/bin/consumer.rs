//! A consumer of one camera's frames for `bench/peers`: `consumer DIR CAMERA FPS PICTURES FILE`.
//!
//! Copies each new frame, as a model's process would, and appends its age to `FILE`.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use vas_bench::sightings::Sightings;
use vas_bench::stamp::{self, Timeline};
use vas_frame::{CameraId, Nv12Image, Reader, monotonic_ns};

/// Longest wait for a frame, after which the reader is reopened.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look for a camera that does not exist yet.
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let usage = "usage: consumer DIR CAMERA FPS PICTURES FILE";
    let [dir, camera, fps, pictures, file] = arguments.as_slice() else { panic!("{usage}") };
    let (dir, id) = (PathBuf::from(dir), CameraId::new(camera).expect("an id as in a config"));
    let number = stamp::number_of(camera).expect("a camera's name ends with its number");
    let timeline = Timeline::new(fps.parse().expect(usage), number);
    let pictures = pictures.parse().expect(usage);
    let mut sightings = Sightings::new(file.as_ref());
    let mut image = Nv12Image::default();
    loop {
        let Ok(mut reader) = Reader::options().dir(&dir).timeout(PATIENCE).open(&id) else {
            std::thread::sleep(LOOK_EVERY);
            continue;
        };
        while let Ok(frame) = reader.newer() {
            if frame.copy_if_valid(&mut image).is_ok() {
                let now = monotonic_ns();
                let number = stamp::read(image.luma(), image.width() as usize);
                sightings.add(now, number.map(|number| timeline.age_ns(number, pictures, now)));
            }
        }
    }
}
