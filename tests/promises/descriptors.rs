//! Many cameras need more open files than the soft limit of most systems allows.

use std::process::{Command, Stdio};

use vas_tests::service::vas;

/// A process's limit from `/proc`: soft and hard.
fn limits(pid: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut words = line["Max open files".len()..].split_whitespace();
    (words.next().unwrap().into(), words.next().unwrap().into())
}

#[test]
fn the_service_raises_its_limit_of_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("vas.toml");
    let run_dir = dir.path().join("run");
    let text = format!(
        "[service]\nrun_dir = {run_dir:?}\n[[camera]]\nid = \"cam\"\nurl = \"testsrc:64x64@5\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut service = Command::new("prlimit")
        .args(["--nofile=200:1000", "--"])
        .arg(vas())
        .args(["run", "--config"])
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It raises its limit before it writes its first status.
    while !run_dir.join("status.json").exists() {
        assert!(service.try_wait().unwrap().is_none(), "the service has ended");
        std::thread::yield_now();
    }
    let limits = limits(service.id());
    service.kill().unwrap();
    service.wait().unwrap();
    assert_eq!(limits, ("1000".into(), "1000".into()));
}
