//! Question: how many frames are copied for readers that want fewer than a camera sends, and does each get as
//! many as it would alone?
//!
//! The release build of the service exports a test pattern at 30 fps. `vas watch --max-fps` reads it: at 5, at
//! 7, and then two at 5 and one at 7 at once. Rates are measured on the camera's own time line (PTS of the
//! first and the last frame that a reader saw); copies are counted by the service.
//!
//!     cargo build --release -p vas && cargo bench -p vas-bench --bench demand

#![forbid(unsafe_code)]

use std::process::{Child, Command, Stdio};

use vas_bench::Service;

const SECONDS: u32 = 20;

fn main() {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
    let service = Service::start(dir.path(), 1, "url = \"testsrc:640x360@30\"");
    service.until(0, &["\"state\": \"streaming\""]);
    println!("readers want   each got /s           sum  copied /s  decoded /s");
    for wanted in [&[5][..], &[7], &[5, 7, 5], &[30]] {
        run(&service, wanted);
    }
}

fn run(service: &Service, wanted: &[u32]) {
    service.until(0, &["\"readers\": false"]);
    let count = |name| service.counter(name);
    let (exported, decoded) = (count("exported"), count("decoded"));
    let readers: Vec<_> = wanted.iter().map(|fps| watch(service, *fps)).collect();
    let spans: Vec<f64> = readers.into_iter().map(span).collect();
    // Counters read after all readers have gone.
    service.until(0, &["\"readers\": true"]);
    service.until(0, &["\"readers\": false"]);
    let longest = spans.iter().copied().fold(0.0, f64::max);
    let rates: Vec<f64> =
        wanted.iter().zip(&spans).map(|(fps, span)| f64::from(fps * SECONDS - 1) / span).collect();
    let per_second = |before: u64, name| (count(name) - before) as f64 / longest;
    println!(
        "{:<14} {:<20} {:>5.2} {:>10.2} {:>11.2}",
        format!("{wanted:?}"),
        rates.iter().map(|rate| format!("{rate:.2}")).collect::<Vec<_>>().join(" "),
        rates.iter().sum::<f64>(),
        per_second(exported, "exported"),
        per_second(decoded, "decoded"),
    );
}

fn watch(service: &Service, fps: u32) -> Child {
    Command::new(Service::VAS)
        .args(["watch", "cam0", "--json", "--max-fps", &fps.to_string()])
        .args(["--count", &(fps * SECONDS).to_string(), "--dir"])
        .arg(service.export_dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the service is built: cargo build --release -p vas")
}

/// Seconds between the first and the last frame that a reader saw.
fn span(reader: Child) -> f64 {
    let seen = reader.wait_with_output().expect("a reader ends").stdout;
    let text = String::from_utf8(seen).expect("JSON is text");
    let pts = |line: &str| {
        let value = line.split("\"pts_ns\":").nth(1).expect("each line has it");
        value.split(',').next().and_then(|ns| ns.parse::<f64>().ok()).expect("a number")
    };
    let (first, last) = (text.lines().next().map(pts), text.lines().last().map(pts));
    (last.expect("frames came") - first.expect("frames came")) / 1e9
}
