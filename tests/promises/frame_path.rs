//! Whatever fails in the frame path, recordings continue, exports are refused with a reason, and once the cause
//! is gone frames come without a restart.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vas_tests::camera::Camera;
use vas_tests::clip::Clip;
use vas_tests::service::{Plan, Service, signal};
use vas_tests::watcher::Watcher;

const CLIP: Clip =
    Clip { encoder: "libx264", size: "320x240", pixels: "yuv420p", range: "tv", frames: 50 };

/// Cameras that are recorded into `dir`.
fn recorded(ids: &[&str], dir: &Path, camera: &Camera) -> String {
    let cameras =
        ids.iter().map(|id| format!("[[camera]]\nid = {id:?}\nurl = {:?}\n", camera.url()));
    let cameras: String = cameras.collect();
    format!("[record]\ndir = {dir:?}\nsegment = \"1s\"\n{cameras}")
}

fn written(camera: &Value) -> Option<u64> {
    camera["recorder"]["written_bytes"].as_u64()
}

/// Waits until more of a camera is recorded by the same shard process; returns its status.
pub(crate) fn until_more_is_recorded(service: &mut Service, id: &str) -> Value {
    let before = written(&service.until_camera(id, "a recorder", |camera| {
        camera["recorder"]["state"] == "recording" && written(camera) > Some(0)
    }));
    service.until_camera(id, "more bytes in its files", |camera| {
        camera["recorder"]["state"] == "recording" && written(camera) > before
    })
}

fn refused(camera: &Value) -> bool {
    camera["export"]["state"] == "refused"
}

fn set_mode(dir: &Path, mode: u32) {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Kills a shard as a crash would, and waits for its next process to report.
pub(crate) fn crash(service: &mut Service, id: &str) -> u32 {
    let before = service.shard_of(id);
    signal(before, "SEGV");
    service.until_status("another process", |status| {
        status["shards"].as_array().unwrap().iter().any(|shard| {
            shard["state"] == "running" && shard["pid"] != before && shard["restarts"] == 1
        })
    });
    service.shard_of(id)
}

#[test]
fn a_directory_that_others_may_write_stops_no_recording_and_is_retried() {
    let camera = Camera::start(&[&CLIP.make()], ",loop");
    let recordings = tempfile::tempdir().unwrap();
    let mut service = Service::start("true", "", &recorded(&["cam"], recordings.path(), &camera));
    service.until_exported("cam");
    // As after a restart of the service: a running one already holds the directory.
    set_mode(&service.dir(), 0o1777);
    let shard = crash(&mut service, "cam");
    let seen = service.until_camera("cam", "refusal", refused);
    let words = seen["export"]["detail"].as_str().unwrap();
    assert!(words.contains("has mode 1777: others may write it"), "{words}");
    until_more_is_recorded(&mut service, "cam");
    assert!(service.log().contains(words), "{}", service.log());
    set_mode(&service.dir(), 0o1750);
    Watcher::attach(&service, "cam").next_frame();
    assert_eq!(service.shard_of("cam"), shard, "no restart");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

#[test]
fn a_service_that_starts_without_its_export_directory_records_and_exports_when_it_can() {
    let camera = Camera::start(&[&CLIP.make()], ",loop");
    let (recordings, shm) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
    // A file in place of the directory.
    let dir = shm.path().join("vas");
    std::fs::write(&dir, "").unwrap();
    let mut service = Service::launch(Plan {
        flag: "true",
        dir: dir.to_str().unwrap(),
        cameras: &recorded(&["cam"], recordings.path(), &camera),
        ..Plan::default()
    });
    let seen = service.until_camera("cam", "refusal", refused);
    let words = seen["export"]["detail"].as_str().unwrap();
    assert!(words.contains("is a link or not a directory"), "{words}");
    until_more_is_recorded(&mut service, "cam");
    std::fs::remove_file(&dir).unwrap();
    Watcher::attach(&service, "cam").next_frame();
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

/// A cgroup that limits the number of threads of its processes. Needs root.
pub(crate) struct Threads(PathBuf);

impl Threads {
    pub(crate) fn of(pid: u32) -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = |name: &str| own.lines().find_map(|line| line.split_once(name)).map(|l| l.1);
        let dir = match own(":pids:/") {
            Some(path) => Path::new("/sys/fs/cgroup/pids").join(path),
            None => Path::new("/sys/fs/cgroup").join(own("0::/").unwrap()),
        };
        let group = Self(dir.join(format!("vas-threads-{pid}")));
        std::fs::create_dir(&group.0).unwrap_or_else(|e| panic!("{}: {e}", group.0.display()));
        group.put(pid);
        group
    }

    pub(crate) fn put(&self, pid: u32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    pub(crate) fn allow(&self, threads: &str) {
        std::fs::write(self.0.join("pids.max"), threads).unwrap();
    }

    pub(crate) fn current(&self) -> usize {
        std::fs::read_to_string(self.0.join("pids.current")).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Removed once the processes are gone; until then without a limit.
        let _ = std::fs::write(self.0.join("pids.max"), "max");
        let is_busy =
            || std::fs::remove_dir(&self.0).is_err_and(|e| e.kind() == ErrorKind::ResourceBusy);
        // After a failure the processes still run.
        while is_busy() && !std::thread::panicking() {
            std::thread::yield_now();
        }
    }
}

#[test]
fn threads_that_can_not_start_stop_no_recording_and_are_retried() {
    let camera = Camera::start(&[&CLIP.make()], ",loop");
    let recordings = tempfile::tempdir().unwrap();
    let cameras = recorded(&["cam"], recordings.path(), &camera);
    // The number of threads without a frame path.
    let mut off = Service::start("false", "", &cameras);
    let group = Threads::of(off.pid());
    off.shards().into_iter().for_each(|shard| group.put(shard));
    until_more_is_recorded(&mut off, "cam");
    let without = group.current();
    assert_eq!(off.stop(), Some(0));
    drop(group);

    let mut service = Service::start("true", "", &cameras);
    let group = Threads::of(service.pid());
    service.until_exported("cam");
    group.allow(&without.to_string());
    let shard = crash(&mut service, "cam");
    let seen = service.until_camera("cam", "refusal", refused);
    let words = seen["export"]["detail"].as_str().unwrap();
    assert!(words.contains("can't start a thread"), "{words}");
    until_more_is_recorded(&mut service, "cam");
    group.allow("max");
    Watcher::attach(&service, "cam").next_frame();
    assert_eq!(service.shard_of("cam"), shard, "no restart");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    drop(service);
}

#[test]
fn a_shard_that_can_not_start_waits_and_the_others_continue() {
    let camera = Camera::start(&[&CLIP.make()], ",loop");
    let recordings = tempfile::tempdir().unwrap();
    let cameras = |ids: &[&str]| recorded(ids, recordings.path(), &camera);
    let mut service = Service::launch(Plan {
        flag: "true",
        service: "shards = 2",
        cameras: &cameras(&["a"]),
        ..Plan::default()
    });
    let group = Threads::of(service.pid());
    until_more_is_recorded(&mut service, "a");
    // Room for its process, but not for a thread in it.
    group.allow(&(group.current() + 1).to_string());
    service.reload(&cameras(&["a", "b"]));
    let seen = service.until_camera("b", "a reason", |camera| camera["state"] == "waiting");
    let words = seen["reason"].as_str().unwrap();
    assert!(words.contains("can't start a thread"), "{words}");
    until_more_is_recorded(&mut service, "a");
    group.allow("max");
    until_more_is_recorded(&mut service, "b");
    Watcher::attach(&service, "b").next_frame();
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    drop(service);
}
