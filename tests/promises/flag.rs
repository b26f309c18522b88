//! Off means off, observed from outside; a clean stop leaves nothing; no socket listens.

use std::net::UdpSocket;
use std::process::Command;

use vas_harness::Outcome as _;
use vas_tests::camera::Camera;
use vas_tests::service::{Reader, Service, vas};
use vas_tests::sockets::Socket;

use crate::producer::plain_clip;

const CAMERA: &str = "[[camera]]\nid = \"cam\"\nurl = \"testsrc:640x360@25\"\n";

/// Names of the threads of all processes of a service.
fn threads(service: &Service) -> Vec<String> {
    let tasks = |pid| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    let tasks = service.processes().into_iter().flat_map(tasks);
    tasks.map(|task| name(task).trim().to_owned()).collect()
}

/// A file of `/proc` for all processes of a service: the supervisor and at least one shard.
fn proc_files(service: &Service, name: &str) -> Vec<String> {
    let processes = service.processes();
    assert!(processes.len() > 1, "{processes:?}");
    let read = |pid| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    processes.into_iter().map(read).collect()
}

fn is_of_frame_path(thread: &str) -> bool {
    thread.starts_with("dec:")
        || ["vas-copy", "vas-notifier", "vas-rings"].iter().any(|name| thread.starts_with(name))
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
fn on_has_files_mappings_threads_and_a_decoder() {
    let mut service = Service::start("true", "", CAMERA);
    let _reader = service.until_read("cam");
    assert!(threads(&service).iter().any(|thread| is_of_frame_path(thread)));
    assert!(proc_files(&service, "maps").iter().any(|maps| maps.contains("/dev/shm")));
}

#[test]
fn no_core_file_leaks_secrets_or_delays_the_report_of_a_crash() {
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
    // Everything that opens sockets: each RTSP client over UDP and over TCP, both kinds of producer.
    let server = Camera::start(&[&plain_clip()], ",loop");
    let mut transports = Vec::new();
    let mut transport = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        transports.push(socket);
        address
    };
    let recordings = tempfile::tempdir().unwrap();
    let mut cameras = format!("[record]\ndir = {:?}\n", recordings.path());
    let mut ids = Vec::new();
    for (client, carrier, video) in [
        ("retina", "udp", "copy"),
        ("retina", "tcp", "h264"),
        ("ffmpeg", "udp", "h264"),
        ("ffmpeg", "tcp", "copy"),
    ] {
        let id = format!("{client}-{carrier}");
        let (rtp, rtcp) = (transport(), transport());
        cameras += &format!(
            "[[camera]]\nid = {id:?}\nurl = {:?}\nrtsp_client = {client:?}\ntransport = {carrier:?}\n\
             [camera.producer]\nrtp = \"{rtp}\"\nrtcp = \"{rtcp}\"\nvideo = {video:?}\n",
            server.url()
        );
        ids.push(id);
    }
    let mut service = Service::start("true", "", &cameras);
    let mut readers = Vec::new();
    for id in &ids {
        service.until_exported(id);
        readers.push(Reader(service.watch(id, &["--timeout", "3600"])));
    }
    for id in &ids {
        service.until_camera(id, "all parts at work", |camera| {
            camera["exported"].as_u64() > Some(0)
                && camera["recorder"]["packets"].as_u64() > Some(0)
                && camera["producer"]["pictures"].as_u64() > Some(0)
        });
    }
    let sockets = Socket::all(&service);
    for socket in &sockets {
        assert!(!socket.takes_connections(), "it accepts connections: {socket:?}");
        assert!(
            !["", "raw", "raw6", "packet"].contains(&socket.table),
            "unexpected socket: {socket:?}"
        );
    }
    let count = |tables: &[&str]| sockets.iter().filter(|one| tables.contains(&one.table)).count();
    // Between supervisor and shard, to and from four cameras, and to the producers' peers: all were checked.
    assert!(count(&["unix"]) >= 2, "{sockets:#?}");
    assert!(count(&["tcp", "tcp6"]) >= 4, "{sockets:#?}");
    assert!(count(&["udp", "udp6"]) >= 2 * 2 + 4, "{sockets:#?}");
}

#[test]
fn an_invalid_flag_is_refused() {
    let output = Command::new(vas())
        .args(["run", "--config", "/nonexistent"])
        .env("AI_FRAME_EXPORT_ENABLED", "yes")
        .outcome();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("AI_FRAME_EXPORT_ENABLED"));
}
