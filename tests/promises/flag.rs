//! Off means off, seen from outside; a clean stop leaves nothing; nothing listens.

use std::process::Command;

use vas_tests::service::{Service, vas};

const CAMERA: &str = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:640x360@25\"\n";

/// Names of the threads of all of a service's processes.
fn threads(service: &Service) -> Vec<String> {
    let tasks = |pid| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    let tasks = service.processes().into_iter().flat_map(tasks);
    tasks.map(|task| name(task).trim().to_owned()).collect()
}

/// A file of `/proc`, of all of a service's processes: the supervisor and at least a shard.
fn proc_files(service: &Service, name: &str) -> Vec<String> {
    let processes = service.processes();
    assert!(processes.len() > 1, "{processes:?}");
    let read = |pid| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    processes.into_iter().map(read).collect()
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
        for maps in proc_files(&service, "maps") {
            assert!(!maps.contains("/dev/shm"), "{maps}");
        }
        let threads = threads(&service);
        assert!(!threads.iter().any(|thread| is_of_frame_path(thread)), "{threads:?}");
    }
}

#[test]
fn on_has_them_so_that_the_test_above_can_fail() {
    let mut service = Service::start("true", "", CAMERA);
    let _reader = service.until_read("cam");
    assert!(threads(&service).iter().any(|thread| is_of_frame_path(thread)));
    assert!(proc_files(&service, "maps").iter().any(|maps| maps.contains("/dev/shm")));
}

#[test]
fn no_core_file_holds_secrets_or_up_the_word_of_a_crash() {
    let mut service = Service::start("false", "", CAMERA);
    service.until("packets", |camera| camera["received"].as_u64() > Some(0));
    for limits in proc_files(&service, "limits") {
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        // One byte: no file, and no pipe to a program either (src/vas/src/core_files.rs).
        assert_eq!(core.split_whitespace().nth(4), Some("1"), "{core}");
    }
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
    let fds = |pid| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let sockets: Vec<_> = service
        .processes()
        .into_iter()
        .flat_map(fds)
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
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    let ours = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours: Vec<_> = ours.filter(|fields| sockets.contains(&fields[6].to_owned())).collect();
    // Those between supervisor and shard: connected, and without a name that anybody could connect to.
    assert!(ours.len() >= 2, "{table}");
    for fields in ours {
        // 03 is SS_CONNECTED (include/linux/net.h); bit 16 of the flags says that it accepts (unix_seq_show).
        assert_eq!((fields[3], fields[5], fields.len()), ("00000000", "03", 7), "{fields:?}");
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
