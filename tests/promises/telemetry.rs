//! Readers that state what they do are listed, the slow one is named, and nothing in their directory affects the
//! service.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, inotify, mknodat};
use rustix::io::Errno;
use serde_json::Value;
use vas_frame::telemetry::DIR_VARIABLE;
use vas_harness::Outcome as _;
use vas_tests::service::{Reader, Service, vas};

/// Far more frames than the ring has slots.
const LAP: u64 = 60;

fn service(flag: &str, readers: &Path) -> Service {
    let camera = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:64x64@25\"\n";
    Service::start(flag, "", &format!("[readers]\ndir = {readers:?}\n{camera}"))
}

/// Another process that reads every frame.
fn watch(service: &Service, readers: &Path) -> Reader {
    let mut command = Command::new(vas());
    command.args(["watch", "cam", "--dir"]).arg(service.dir()).env(DIR_VARIABLE, readers);
    Reader(command.stdout(Stdio::null()).spawn().unwrap())
}

fn exported(service: &mut Service, at_least: u64) -> u64 {
    let camera = service.until("frames", |camera| camera["exported"].as_u64().unwrap() >= at_least);
    camera["exported"].as_u64().unwrap()
}

fn listed(status: &Value) -> &[Value] {
    status["readers"].as_array().unwrap()
}

fn is_listed(status: &Value, process: &Child) -> bool {
    listed(status).iter().any(|reader| reader["pid"] == process.id())
}

/// Takes a frame, and the next one only after several times as many as the ring holds, until it has missed some: where
/// frames are left out, as under load, nothing is known to be missed.
fn fall_behind(service: &mut Service, reader: &mut vas_frame::Reader) {
    loop {
        reader.next().unwrap();
        let now = exported(service, 0);
        exported(service, now + LAP);
        reader.next().unwrap();
        let written = service.status().unwrap()["written_ns"].clone();
        let after = |status: &Value| status["written_ns"].as_u64() > written.as_u64();
        // Twice, since the first may have been on its way.
        service.until_status("a status", after);
        let next = service.until_status("a status", |status| {
            after(status) && listed(status).iter().any(|reader| reader["name"] == "people")
        });
        let mine = listed(&next).iter().find(|reader| reader["name"] == "people").unwrap();
        if mine["missed"].as_u64() > Some(0) {
            return;
        }
    }
}

#[test]
fn the_slow_reader_is_named_and_a_killed_one_vanishes() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut service = service("true", dir.path());
    service.until_exported("cam");
    let mut watching = watch(&service, dir.path());
    let options = vas_frame::Reader::options().dir(service.dir()).readers_dir(dir.path());
    let mut reader = options.name("people").open("cam").unwrap();
    fall_behind(&mut service, &mut reader);

    let status = service.until_status("both readers", |status| listed(status).len() == 2);
    let by_process = |id: u32| listed(&status).iter().find(|reader| reader["pid"] == id).unwrap();
    let (quick, slow) = (by_process(watching.0.id()), by_process(std::process::id()));
    assert_eq!((&quick["program"], &quick["name"]), (&"vas".into(), &"".into()));
    assert_eq!((&slow["camera"], &slow["name"]), (&"cam".into(), &"people".into()));
    assert!(slow["last_minute"]["missed"].as_u64() > Some(0), "{slow}");
    assert!(slow["last_minute"]["age_p99_ms"].as_f64() > Some(0.0), "{slow}");

    let table = Command::new(vas()).arg("status").arg("--run-dir").arg(service.run_dir()).outcome();
    let table = String::from_utf8(table.stdout).unwrap();
    let named = format!("people (process {}) is slow", std::process::id());
    assert!(table.contains(&named), "{table}");
    let metrics = std::fs::read_to_string(service.run_dir().join("vas.prom")).unwrap();
    assert!(metrics.contains("vas_readers_listed{camera=\"cam\"} 2\n"), "{metrics}");

    watching.0.kill().unwrap();
    watching.0.wait().unwrap();
    service.until_status("the killed reader to vanish", |status| {
        !is_listed(status, &watching.0) && listed(status).len() == 1
    });
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 2, "the service removes nothing");
    // The next reader of that user does.
    let next = watch(&service, dir.path());
    service.until_status("the next reader", |status| is_listed(status, &next.0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn whatever_is_in_the_directory_changes_nothing() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut service = service("true", dir.path());
    service.until_exported("cam");
    let path = |name: &str| dir.path().join(name);
    mknodat(CWD, path("a.reader"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    symlink("/dev/zero", path("b.reader")).unwrap();
    symlink("loop.reader", path("loop.reader")).unwrap();
    std::fs::create_dir(path("c.reader")).unwrap();
    File::create(path("d.reader")).unwrap().set_len(1 << 40).unwrap();
    for number in 0..5000 {
        std::fs::write(path(&format!("{number}.reader")), [0xff; 100]).unwrap();
    }
    let reader = watch(&service, dir.path());
    // Among more names than one look examines.
    service.until_status("the reader", |status| is_listed(status, &reader.0));
    let now = exported(&mut service, 1);
    exported(&mut service, now + LAP);
    let status = service.until_status("the reader", |status| is_listed(status, &reader.0));
    assert_eq!((listed(&status).len(), &status["readers_left_out"]), (1, &0.into()));
    assert_eq!(status["shards"][0]["restarts"], 0);

    // Without the directory there is no reader to list, and with it again there is.
    std::fs::rename(dir.path(), dir.path().with_extension("away")).unwrap();
    service.until_status("no reader", |status| listed(status).is_empty());
    std::fs::rename(dir.path().with_extension("away"), dir.path()).unwrap();
    service.until_status("the reader", |status| is_listed(status, &reader.0));
}

/// Whether something opened the directory since the last question.
fn was_opened(watch: &impl std::os::fd::AsFd) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    match inotify::Reader::new(watch, &mut buffer).next() {
        Ok(_) => true,
        Err(Errno::AGAIN) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn nobody_looks_while_the_flag_is_off() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    let watch = inotify::init(flags).unwrap();
    inotify::add_watch(&watch, dir.path(), inotify::WatchFlags::OPEN).unwrap();
    for (flag, expected) in [("false", false), ("true", true)] {
        let mut service = service(flag, dir.path());
        let first = service.until_status("a status", |status| !status["cameras"][0].is_null());
        // Two more: what is done for each status has been done.
        let later =
            |status: &Value, than: &Value| status["uptime_s"].as_u64() > than["uptime_s"].as_u64();
        let second = service.until_status("the next", |status| later(status, &first));
        let third = service.until_status("the one after it", |status| later(status, &second));
        assert_eq!(was_opened(&watch), expected, "{flag}");
        assert_eq!(listed(&third), [Value::Null; 0]);
    }
}
