//! A crash ends one shard, which restarts; a camera that crashes its shard each time is quarantined; a crash
//! of the whole service leaves no process behind.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Plan, Service, signal, signal_thread};
use vas_tests::watcher::Watcher;

const SIGSEGV: i32 = 11;
/// Frames of the other cameras that are checked after the crash, at 10 fps.
const AFTER: usize = 40;

fn clip() -> Clip {
    Clip { encoder: "libx264", size: "640x360", pixels: "yuv420p", range: "tv", frames: 50 }
}

/// The thread of a process with this name.
fn thread(pid: u32, name: &str) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut tasks = tasks.flatten().map(|task| task.path());
    let named = |task: &std::path::PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    tasks.find(named)?.file_name()?.to_str()?.parse().ok()
}

#[test]
fn a_crash_of_one_of_four_shards_costs_the_others_no_frame_and_its_cameras_recover() {
    let camera = Camera::start(&[&clip().make()], ",loop");
    let ids = ["a", "b", "c", "d"];
    let cameras = ids.map(|id| {
        format!("[[camera]]\nid = {id:?}\nurl = {:?}\nidle = \"decode\"\n", camera.url())
    });
    // Rings of 20 s, so that many processes on two processors lose no frame.
    let mut service = Service::launch(Plan {
        flag: "true",
        service: "shards = 4",
        export: "slots = 200",
        cameras: &cameras.concat(),
        ..Plan::default()
    });
    for id in ids {
        service.until_camera(id, "a ring", |camera| camera["export"]["state"] == "open");
    }
    let mut shards: Vec<_> = ids.iter().map(|id| service.shard_of(id)).collect();
    shards.dedup();
    assert_eq!(shards.len(), 4, "a camera in each: {shards:?}");

    let mut others = ids[1..].iter().map(|id| Watcher::attach(&service, id)).collect::<Vec<_>>();
    let before: Vec<_> = others.iter_mut().map(Watcher::next_frame).collect();
    let mut own = Watcher::attach(&service, "a");
    let (_, epoch) = own.next_frame();

    let crash = Instant::now();
    signal(shards[0], "SEGV");
    while own.next_frame().1 == epoch {}
    println!("the crashed shard's camera is back after {:.2} s", crash.elapsed().as_secs_f32());

    for (other, before) in others.iter_mut().zip(before) {
        other.no_gap_since(&mut service, before, AFTER);
    }
    let status = service.until_status("a restart", |status| status["shards"][0]["restarts"] == 1);
    for shard in 1..4 {
        assert_eq!(status["shards"][shard]["restarts"], 0, "{status}");
    }
    let line = service.until_logged("shard 0 ended (SIGSEGV)");
    assert!(!line.contains("camera"), "no camera's thread got the signal: {line}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

#[test]
fn a_camera_that_crashes_its_decoder_each_time_is_named_and_quarantined() {
    let camera =
        |id| format!("[[camera]]\nid = {id:?}\nurl = \"testsrc:320x240@25\"\nidle = \"decode\"\n");
    let cameras = [camera("bad"), camera("good")].concat();
    let mut service = Service::start("true", "", &cameras);
    let service_dir = service.dir();
    let mut shard = 0;
    for crash in 1..=3 {
        let ran = shard;
        let status = service.until_status("another shard", |status| {
            let pid = &status["shards"][0]["pid"];
            let decodes = |camera: &Value| camera["decoded"].as_u64() > Some(0);
            // Otherwise the status is still that of the previous process.
            let running = status["shards"][0]["state"] == "running";
            running && *pid != ran && decodes(&status["cameras"][0])
        });
        shard = u32::try_from(status["shards"][0]["pid"].as_u64().unwrap()).unwrap();
        assert_eq!(status["cameras"][0]["id"], "bad");
        let thread = thread(shard, "dec:bad").unwrap_or_else(|| panic!("no thread at {crash}"));
        signal_thread(shard, thread, SIGSEGV);
        // The status is that of the dead process until another reports.
        service.until_status("the end of the shard", |status| status["shards"][0]["pid"] != shard);
    }
    let bad = service.until_camera("bad", "quarantine", |camera| camera["state"] == "set apart");
    let reason = bad["reason"].as_str().unwrap();
    assert!(reason.contains("3 times within 10 minutes (last: SIGSEGV)"), "{reason}");
    let line = service.until_logged("shard 0 ended (SIGSEGV) in a thread of camera bad");
    println!("{line}\n{reason}");
    // Its ring would hold memory without a writer.
    service.until_status("the end of its files", |_| !service_dir.join("bad").exists());
    service.until_status("the other camera", |status| {
        let good = &status["cameras"][1];
        status["shards"][0]["state"] == "running"
            && good["id"] == "good"
            && good["state"] == "streaming"
    });
    let pid = service.shard_of("good");
    assert!(thread(pid, "dec:good").is_some() && thread(pid, "dec:bad").is_none());
    // A change of the config may have removed the cause.
    service.reload(&cameras);
    service.until_camera("bad", "another try", |camera| camera["state"] == "streaming");
    assert_eq!(service.shard_of("good"), pid, "the other camera's shard restarted");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_hanging_shard_is_killed_with_a_reason_and_restarted() {
    let camera = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:320x240@25\"\n";
    let mut service = Service::start("true", "", camera);
    service.until("packets", |camera| camera["received"].as_u64() > Some(0));
    let shard = service.shard_of("cam");
    signal(shard, "STOP");
    service.until_logged("shard 0 ended (killed: it said nothing for 15 s)");
    service.until_status("another", |status| {
        status["shards"][0]["state"] == "running" && status["shards"][0]["pid"] != shard
    });
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

#[test]
fn the_supervisors_death_stops_the_shards_cleanly() {
    let camera =
        |id| format!("[[camera]]\nid = {id:?}\nurl = \"testsrc:320x240@25\"\nidle = \"decode\"\n");
    let mut service = Service::launch(Plan {
        flag: "true",
        service: "shards = 2",
        cameras: &[camera("a"), camera("b")].concat(),
        ..Plan::default()
    });
    for id in ["a", "b"] {
        service.until_camera(id, "a ring", |camera| camera["export"]["state"] == "open");
    }
    let shards = service.shards();
    assert_eq!(shards.len(), 2);
    // Suspended, as if delayed on a busy machine: the end of the socket and the kernel's signal
    // arrive together.
    shards.iter().for_each(|shard| signal(*shard, "STOP"));
    signal(service.pid(), "KILL");
    service.wait();
    shards.iter().for_each(|shard| signal(*shard, "CONT"));
    let start = Instant::now();
    let is_there = |pid: &u32| Path::new(&format!("/proc/{pid}/exe")).exists();
    while shards.iter().any(is_there) || service.dir().exists() {
        assert!(start.elapsed().as_secs() < 60, "{shards:?} still run:\n{}", service.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let log = service.log();
    assert_eq!(
        log.matches("the supervisor is gone").count(),
        2,
        "expected one line from each shard:\n{log}"
    );
}

#[test]
fn two_services_share_an_export_directory_and_the_second_names_a_cameras_holder() {
    let camera =
        |id| format!("[[camera]]\nid = {id:?}\nurl = \"testsrc:320x240@25\"\nidle = \"decode\"\n");
    let mut first = Service::start("true", "", &camera("a"));
    first.until("a ring", |camera| camera["export"]["state"] == "open");
    let dir = first.dir();
    let mut second = Service::launch(Plan {
        flag: "true",
        dir: dir.to_str().unwrap(),
        cameras: &[camera("a"), camera("b")].concat(),
        ..Plan::default()
    });
    let refused =
        second.until_camera("a", "refusal", |camera| camera["export"]["state"] == "refused");
    let detail = refused["export"]["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("process {}", first.shard_of("a"))), "{detail}");
    assert_eq!(refused["state"], "streaming");
    second.until_camera("b", "a ring", |camera| camera["export"]["state"] == "open");
    Watcher::attach(&first, "a").next_frame();
    assert_eq!(first.stop(), Some(0), "{}", first.log());
    // The second takes over what the first releases.
    second.until_camera("a", "a ring", |camera| camera["export"]["state"] == "open");
    assert_eq!(second.stop(), Some(0), "{}", second.log());
    assert!(!dir.exists());
}
