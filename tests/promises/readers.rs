//! A slow, suspended or dead reader affects nobody else; readers report a writer's death and
//! survive it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;

use serde_json::Value;
use vas_frame::CameraId;
use vas_harness::waiting;
use vas_tests::camera::Camera;
use vas_tests::clip::run;
use vas_tests::service::{Reader, Service, signal};

/// Concurrent readers that want every frame.
const CROWD: usize = 50;
/// Frames in each of the two windows that are compared.
const WINDOW: u64 = 30;
/// Of the clip, a second.
const FPS: u64 = 10;

/// H.264 at 10 fps, without B-frames: a packet in, a picture out.
fn clip() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("10fps.mp4");
    run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=10"])
        .args(["-t", "5", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"])
        .arg(&path));
    (dir, path)
}

/// A camera's counters at a moment when nothing was in flight.
#[derive(Debug)]
struct Settled {
    received: u64,
    decoded: u64,
    exported: u64,
    dropped: Value,
}

/// Waits until at least `received` packets have come, all are decoded, and each frame is exported
/// or left out for a reason. With a lost packet, or a decoder that falls behind, it never returns.
fn settle(service: &mut Service, received: u64) -> Settled {
    let number = |value: &Value| value.as_u64().unwrap();
    let left_out = |camera: &Value| -> u64 {
        camera["dropped"].as_object().unwrap().values().map(number).sum()
    };
    let camera = service.until("settled counters", |camera| {
        number(&camera["received"]) >= received
            && camera["received"] == camera["decoded"]
            && number(&camera["exported"]) + left_out(camera) == number(&camera["decoded"])
    });
    Settled {
        received: number(&camera["received"]),
        decoded: number(&camera["decoded"]),
        exported: number(&camera["exported"]),
        dropped: camera["dropped"].clone(),
    }
}

/// The ids of a reader's frames, until the reader ends.
fn ids_of(reader: &mut Reader) -> mpsc::Receiver<u64> {
    let lines = BufReader::new(reader.0.stdout.take().unwrap()).lines();
    let (sender, ids) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines {
            let frame: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if sender.send(frame["frame_id"].as_u64().unwrap()).is_err() {
                return;
            }
        }
    });
    ids
}

#[test]
fn many_readers_suspended_killed_and_idle_cost_nobody_a_frame() {
    let (_dir, clip) = clip();
    let camera = Camera::start(&[&clip], ",loop");
    // A ring of 20 s, so that a crowd on two processors loses no frame.
    let config = format!("[[camera]]\nid = \"cam\"\nurl = {:?}\nidle = \"decode\"\n", camera.url());
    let mut service = Service::start("true", "slots = 200", &config);
    service.until("the ring", |camera| camera["export"]["state"] == "open");

    let alone = settle(&mut service, 1);
    let alone_end = settle(&mut service, alone.received + WINDOW);
    assert_eq!(alone_end.exported, 0, "nobody reads yet: {alone_end:?}");

    let attach = || {
        vas_frame::Reader::options().dir(service.dir()).open(CameraId::new("cam").unwrap()).unwrap()
    };
    let (_never_reads, mut newest) = (attach(), attach());
    let watch = || {
        let mut reader = Reader(service.watch("cam", &["--timeout", "60"]));
        let ids = ids_of(&mut reader);
        (reader, ids)
    };
    let (stopped, killed) = (watch(), watch());
    let wait = waiting("a frame for each reader of the crowd");
    stopped.1.recv().unwrap();
    signal(stopped.0.0.id(), "STOP");
    killed.1.recv().unwrap();
    drop(killed);
    let mut crowd = Vec::new();
    while crowd.len() < CROWD {
        // A few at a time: fifty processes started at once starve concurrent tests.
        let some = [(); 5].map(|()| watch());
        some.iter().for_each(|(_, ids)| assert!(ids.recv().is_ok()));
        crowd.extend(some);
    }
    drop(wait);

    // The whole crowd is attached from here on. Starting so many processes on a few processors may have
    // delayed a copy: frames lost to that are not the readers' fault.
    // The status is written each second: the next but one is of after they attached.
    let written = settle(&mut service, 1).received;
    let read = settle(&mut service, written + 2 * FPS);
    let first = newest.latest().unwrap().meta().frame_id;
    settle(&mut service, read.received + WINDOW);
    let last = newest.latest().unwrap().meta().frame_id;
    let read_end = settle(&mut service, 1);
    // One decoded frame per packet, with the crowd and without.
    assert_eq!(alone_end.decoded - alone.decoded, alone_end.received - alone.received);
    assert_eq!(read_end.decoded - read.decoded, read_end.received - read.received);
    assert_eq!(read.dropped, read_end.dropped);
    assert_eq!(read_end.exported - read.exported, read_end.decoded - read.decoded);
    for why in ["before_key", "overload", "undecodable", "lease", "copy_failed"] {
        assert_eq!(read_end.dropped[why], 0, "{read_end:?}");
    }

    let every: Vec<_> = (first + 1..=last).collect();
    assert!(every.len() as u64 >= WINDOW / 2, "{every:?}");
    let _wait = waiting("the crowd to have read the window");
    for (_reader, ids) in crowd {
        let of_window = ids.iter().skip_while(|id| *id <= first).take_while(|id| *id <= last);
        assert_eq!(of_window.collect::<Vec<_>>(), every);
    }
}

#[test]
fn readers_report_a_writers_death_and_follow_the_next() {
    let camera = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:640x360@25\"\n";
    let mut service = Service::start("true", "", camera);
    service.until_exported("cam");
    let mut reader = service.watch("cam", &["--timeout", "60"]);
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    let mut words = BufReader::new(reader.stderr.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let _wait = waiting("a reader that follows a writer's death");
    let before = next();
    service.crash_and_restart("true");
    let said = words.find(|line| line.as_ref().unwrap().contains("gone")).unwrap().unwrap();
    assert!(said.contains("cam"), "{said}");
    let after = std::iter::from_fn(|| Some(next())).find(|frame| frame["epoch"] != before["epoch"]);
    let after = after.unwrap();
    assert!(after["frame_id"].as_u64() > before["frame_id"].as_u64());
    assert!(after["epoch"].as_u64() > before["epoch"].as_u64());
    reader.kill().unwrap();
    reader.wait().unwrap();
}
