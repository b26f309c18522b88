//! Question: how long does a reader wait for its first frame if nobody has read for a while?
//!
//! The release build of the service plays a 1080p H.264 file with a key frame every two seconds in real time at
//! 25 fps, with 1, 4 or 16 such cameras, once with `idle = "stop"` and once with `"decode"`. In each turn, once the
//! status shows a camera idle (`stop`: its decoder is closed; `decode`: nobody reads), a reader attaches and waits for
//! its first frame; cameras take turns. `wait` counts from before the open until the frame is there, `age` is the
//! frame's age then. A frame that arrived before the reader attached would end the run. Two processors can't decode
//! 16 such cameras, so there is no `decode` with 16.
//!
//!     cargo build --release -p vas && cargo bench -p vas-bench --bench first_frame [-- FILTER]

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use vas_bench::{Distribution, Options, Service};
use vas_frame::{Reader, monotonic_ns};

const TURNS: usize = 12;
const GOP: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(60);

const PLACES: [(usize, &str); 5] =
    [(1, "stop"), (4, "stop"), (16, "stop"), (1, "decode"), (4, "decode")];

fn main() {
    let options = Options::of_this_process();
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
    let clip = clip(dir.path());
    println!("                         {}", Distribution::COLUMNS);
    for (cameras, idle) in PLACES {
        let title = format!("cameras {cameras} idle {idle}");
        if options.wants(&title) {
            run(&title, dir.path(), &clip, cameras, idle);
        }
    }
}

fn run(title: &str, dir: &Path, clip: &str, cameras: usize, idle: &str) {
    let service = Service::start(dir, cameras, &format!("url = {clip:?}\nidle = {idle:?}"));
    let (mut wait, mut age) = (Distribution::default(), Distribution::default());
    for turn in 0..TURNS {
        let camera = turn % cameras;
        until_resting(&service, camera, idle);
        // The clip's key frames and the status are in phase: each turn starts at another point
        // between them.
        std::thread::sleep(GOP * turn as u32 / TURNS as u32);
        let attached = monotonic_ns();
        let options = Reader::options().dir(service.export_dir()).timeout(LONG);
        let mut reader = options.open(format!("cam{camera}")).expect("the camera is exported");
        let frame = loop {
            match reader.newer() {
                Ok(frame) => break frame,
                Err(error) => eprintln!("{error}"),
            }
        };
        wait.add(Duration::from_nanos(monotonic_ns() - attached));
        age.add(frame.meta().age());
        assert!(frame.meta().arrival_ns >= attached, "older than its reader");
        // The status is up to a second old: it must have seen this reader before it can miss it.
        service.until(camera, &["\"readers\": true"]);
    }
    println!("{title:<23} wait {wait}");
    println!("{title:<23} age  {age}");
}

/// Ten minutes of pictures by reference: one encoded span of 20 s, repeated.
fn clip(dir: &Path) -> String {
    let (span, whole) = (dir.join("span.mp4"), dir.join("clip.mp4"));
    let ffmpeg = |arguments: &[&str]| {
        let quiet = ["-v", "error", "-nostdin", "-y"];
        let done = Command::new("ffmpeg").args(quiet).args(arguments).status();
        assert!(done.expect("ffmpeg is installed").success());
    };
    let [span, whole] = [span, whole].map(|path| path.display().to_string());
    let source = "testsrc2=size=1920x1080:rate=25,noise=alls=6:allf=t,format=yuv420p";
    let encode = ["-t", "20", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4M", "-g", "50"];
    ffmpeg(&[&["-f", "lavfi", "-i", source], &encode[..], &[&span]].concat());
    ffmpeg(&["-stream_loop", "30", "-i", &span, "-c", "copy", &whole]);
    whole
}

/// Waits until packets come and the camera is idle.
fn until_resting(service: &Service, camera: usize, idle: &str) {
    let decoder = if idle == "stop" { "\"decoder\": null" } else { "\"decoder\": {" };
    service.until(camera, &["\"state\": \"streaming\"", "\"readers\": false", decoder]);
}
