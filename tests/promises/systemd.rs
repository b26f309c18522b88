//! The service's messages to systemd, received on a test socket, and the unit file's matching settings.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use vas_tests::service::{Plan, Service, signal};

/// Stands in for systemd's notification socket, with all lines received.
struct NotifySocket(UnixDatagram, Vec<String>);

impl NotifySocket {
    /// Waits for a message with a line that starts with `line`; returns all its lines.
    fn until(&mut self, line: &str) -> Vec<String> {
        loop {
            let mut bytes = [0; 4096];
            let len = match self.0.recv(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("no {line}: {error}: {:?}", self.1),
                Ok(len) => len,
            };
            let text = std::str::from_utf8(&bytes[..len]).unwrap();
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            self.1.extend(lines.iter().cloned());
            if lines.iter().any(|heard| heard.starts_with(line)) {
                return lines;
            }
        }
    }

    /// Waits for a line, unless it was already received.
    fn has_sent(&mut self, line: &str) {
        if !self.1.iter().any(|heard| heard.starts_with(line)) {
            self.until(line);
        }
    }
}

#[test]
fn systemd_is_notified_of_readiness_life_reload_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let mut socket = NotifySocket(UnixDatagram::bind(&path).unwrap(), Vec::new());
    socket.0.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let camera = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:320x240@25\"\n";
    let mut service = Service::launch(Plan {
        flag: "true",
        service: "shards = 2",
        cameras: camera,
        variables: &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")],
        ..Plan::default()
    });
    socket.until("READY=1");
    for shard in service.shards() {
        let environ = std::fs::read(format!("/proc/{shard}/environ")).unwrap();
        let environ = String::from_utf8_lossy(&environ).into_owned();
        assert!(!environ.contains("NOTIFY_SOCKET") && !environ.contains("WATCHDOG"), "{environ}");
    }
    socket.has_sent("STATUS=1 of 1 cameras streaming");
    socket.until("WATCHDOG=1");
    socket.until("WATCHDOG=1");
    service.reload(camera);
    let reloading = socket.until("RELOADING=1");
    assert!(reloading.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading:?}");
    socket.until("READY=1");
    signal(service.pid(), "TERM");
    socket.until("STOPPING=1");
    assert_eq!(service.wait(), Some(0), "{}", service.log());
}

#[test]
fn the_unit_file_enables_notification_and_hides_no_shared_memory() {
    let unit = include_str!("../../deploy/systemd/vas.service");
    for line in
        ["Type=notify", "WatchdogSec=", "ExecReload=", "KillMode=mixed", "NotifyAccess=main"]
    {
        assert!(unit.lines().any(|here| here.starts_with(line)), "{line}");
    }
    // Readers outside the service see its files only if it uses the host's /dev/shm.
    for line in ["PrivateTmp=", "PrivateDevices=", "PrivateIPC=", "MemoryDenyWriteExecute="] {
        assert!(!unit.lines().any(|here| here.starts_with(line)), "{line}");
    }
    assert!(unit.contains("\nReadWritePaths=/dev/shm\n"), "{unit}");
}
