//! A camera whose ring does not fit runs without export and states the bytes needed and free; the
//! others continue.

use std::path::{Path, PathBuf};

use serde_json::Value;
use vas_harness::is_root;
use vas_tests::service::{Reader, Service};

/// A ring of 13 slots takes 1.5 MiB for the small camera and 17.2 MiB for the large one; 64 slots
/// take 7 and 85 MiB.
const CAMERAS: &str = "\
    [[camera]]\nid = \"large\"\nurl = \"testsrc:1280x720@25\"\n\
    [[camera]]\nid = \"small\"\nurl = \"testsrc:320x240@25\"\n";

/// Attaches readers to both cameras; returns the reason of the large one's export.
fn refused(service: &mut Service) -> String {
    let readers = ["large", "small"].map(|camera| {
        service.until_exported(camera);
        Reader(service.watch(camera, &["--timeout", "3600"]))
    });
    let large = service.until_of(0, "refusal", |camera| camera["export"]["state"] == "refused");
    let exported = |camera: &Value| camera["exported"].as_u64();
    let small = service.until_of(1, "frames", |camera| exported(camera) > Some(25));
    // The large camera still decodes, and the small one is still exported.
    let decoded = large["decoded"].as_u64().map(|n| n + 25);
    let large = service.until_of(0, "pictures", |camera| camera["decoded"].as_u64() > decoded);
    let more = exported(&small).map(|n| n + 25);
    service.until_of(1, "more frames", |camera| exported(camera) > more);
    assert_eq!(exported(&large), Some(0));
    drop(readers);
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    let words = large["export"]["detail"].as_str().unwrap().to_owned();
    println!("{words}");
    assert!(service.log().contains(&words), "{}", service.log());
    words
}

#[test]
fn a_tmpfs_of_10_mib_exports_the_camera_that_fits() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let mut service = Service::start_on_tmpfs("size=10m", "slots = 13", CAMERAS);
    let words = refused(&mut service);
    for part in ["needs 18 MiB", "the tmpfs at", "MiB left", "--shm-size"] {
        assert!(words.contains(part), "{words}");
    }
}

/// A version 1 or 2 memory cgroup below this process's, for one service.
struct Group(PathBuf);

impl Group {
    fn with(service: &Service, bytes: u64) -> Self {
        let pid = service.pid();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = |name: &str| own.lines().find_map(|line| line.split_once(name)).map(|l| l.1);
        let (dir, limit) = match own(":memory:/") {
            Some(path) => (Path::new("/sys/fs/cgroup/memory").join(path), "memory.limit_in_bytes"),
            None => (Path::new("/sys/fs/cgroup").join(own("0::/").unwrap()), "memory.max"),
        };
        let group = Self(dir.join(format!("vas-promises-{pid}")));
        std::fs::create_dir(&group.0).unwrap_or_else(|e| panic!("{}: {e}", group.0.display()));
        std::fs::write(group.0.join(limit), bytes.to_string()).unwrap();
        for pid in service.processes() {
            std::fs::write(group.0.join("cgroup.procs"), pid.to_string()).unwrap();
        }
        group
    }

    /// Processes that the OOM killer killed.
    fn kills(&self) -> Option<u64> {
        let read = |file| std::fs::read_to_string(self.0.join(file));
        let text = read("memory.oom_control").or_else(|_| read("memory.events")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_cgroup_of_64_mib_exports_the_camera_that_fits() {
    if !is_root("creating a cgroup") {
        return;
    }
    let mut service = Service::start("true", "slots = 64", CAMERAS);
    // After all its processes have moved; rings open with the first reader.
    service.until_exported("small");
    let group = Group::with(&service, 64 << 20);
    let words = refused(&mut service);
    for part in ["needs 85 MiB", "the cgroup", "vas-promises", "raise its memory limit"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(group.kills(), Some(0));
}
