//! Off means off, seen from outside; a clean stop leaves nothing; nothing listens.

use std::process::Command;

use vas_tests::service::{Service, vas};

const CAMERA: &str = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:640x360@25\"\n";

/// Names of a process's threads.
fn threads(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    tasks.map(|task| name(task).trim().to_owned()).collect()
}

fn is_of_frame_path(thread: &str) -> bool {
    thread.starts_with("dec:")
        || ["vas-copy", "vas-notifier", "vas-opener"].iter().any(|name| thread.starts_with(name))
}

#[test]
fn off_has_no_file_mapping_thread_or_decoder() {
    for flag in ["false", "0"] {
        let mut service = Service::start(flag, "", CAMERA);
        let camera = service.until("packets", |camera| camera["received"].as_u64() > Some(10));
        assert_eq!(camera["decoded"], 0);
        assert!(camera["decoder"].is_null() && camera["export"].is_null(), "{camera}");
        assert!(!service.dir().exists());
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", service.pid())).unwrap();
        assert!(!maps.contains("/dev/shm"), "{maps}");
        let threads = threads(service.pid());
        assert!(!threads.iter().any(|thread| is_of_frame_path(thread)), "{threads:?}");
    }
}

#[test]
fn on_has_them_so_that_the_test_above_can_fail() {
    let mut service = Service::start("true", "", CAMERA);
    let _reader = service.until_read("cam");
    assert!(threads(service.pid()).iter().any(|thread| is_of_frame_path(thread)));
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", service.pid())).unwrap();
    assert!(maps.contains("/dev/shm"));
    // No core file holds up the word of a crash.
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn a_clean_stop_leaves_no_file() {
    let mut service = Service::start("true", "", CAMERA);
    let _reader = service.until_read("cam");
    assert!(!service.leftovers().is_empty());
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    assert_eq!(service.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn no_socket_listens() {
    let mut service = Service::start("true", "", CAMERA);
    let _reader = service.until_read("cam");
    let sockets: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", service.pid()))
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
            Some(link)
        })
        .collect();
    for table in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            // 0A is TCP_LISTEN (include/net/tcp_states.h); the tenth field is the inode.
            assert!(fields[3] != "0A" || !sockets.contains(&fields[9].to_owned()), "{line}");
        }
    }
}

#[test]
fn a_flag_that_is_no_flag_is_refused() {
    let output = Command::new(vas())
        .args(["run", "--config", "/nonexistent"])
        .env("AI_FRAME_EXPORT_ENABLED", "yes")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("AI_FRAME_EXPORT_ENABLED"));
}
