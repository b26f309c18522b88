//! The producer sends the same bytes whether frames are exported or not, from one decoder, and a missing
//! transport affects no other part.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt;
use vas_tests::camera::Camera;
use vas_tests::clip::{Clip, FPS, run};
use vas_tests::service::Service;

/// Receive buffer in bytes, larger than what any test sends: a test may get no processor for a while.
const RECEIVE_BUFFER: usize = 64 << 20;

/// Stands in for a PlainTransport: keeps the payloads of the packets it receives.
pub(crate) struct Transport {
    pub(crate) port: u16,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Transport {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        // Past net.core.rmem_max, which takes root. Without it `payloads` says what was lost here.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER);
        let port = socket.local_addr().unwrap().port();
        let over = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let (mut payloads, mut buffer) = (Vec::new(), [0; 2000]);
            loop {
                match socket.recv(&mut buffer) {
                    // RFC 5761: 200 to 204 in the second byte are RTCP.
                    Ok(length) if !(200..=204).contains(&buffer[1]) => {
                        assert!(length <= 1200, "a packet of {length} bytes");
                        payloads.push(buffer[12..length].to_vec());
                    }
                    Ok(_) => {}
                    Err(_) if of_thread.load(Ordering::Relaxed) => return payloads,
                    Err(_) => {}
                }
            }
        });
        Self { port, over, thread }
    }

    pub(crate) fn payloads(self) -> Vec<Vec<u8>> {
        // While its thread still has the socket.
        assert_eq!(kernel_drops(self.port), 0, "packets lost in the test's own receive buffer");
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Datagrams that the kernel dropped because a socket's receive buffer was full.
fn kernel_drops(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    let local = format!(":{port:04X}");
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let socket = lines.find(|line| line.get(1).is_some_and(|address| address.ends_with(&local)));
    // The last column (udp4_format_sock in net/ipv4/udp.c).
    socket.unwrap().last().unwrap().parse().unwrap()
}

pub(crate) fn stanza(clip: &Path, port: u16, video: &str) -> String {
    format!(
        "[[camera]]\nid = \"cam\"\nurl = {clip:?}\n[camera.producer]\nrtp = \"127.0.0.1:{port}\"\n\
         video = \"{video}\"\n"
    )
}

/// Plays a clip once; returns the payloads sent and the camera's status at the end.
fn play(clip: &Path, video: &str, flag: &str) -> (Vec<Vec<u8>>, serde_json::Value) {
    let transport = Transport::new();
    let mut service = Service::start(flag, "", &stanza(clip, transport.port, video));
    let _reader = (flag == "true").then(|| service.until_read("cam"));
    service.until("its end", |camera| camera["state"] == "ended");
    // Queued packets are sent by then: the status is written each second.
    let camera = service.until("a later status", |camera| camera["since_s"].as_u64() >= Some(3));
    (transport.payloads(), camera)
}

fn lost(camera: &serde_json::Value) -> u64 {
    let dropped = camera["producer"]["dropped"].as_object().unwrap();
    dropped.values().map(|count| count.as_u64().unwrap()).sum()
}

/// A clip that can be copied: without B-frames.
pub(crate) fn plain_clip() -> PathBuf {
    let dir = Box::leak(Box::new(tempfile::tempdir().unwrap()));
    let path = dir.path().join("plain.mp4");
    let source = format!("testsrc2=size=640x360:rate={FPS},noise=alls=12:allf=t,format=yuv420p");
    run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source, "-frames:v", "60"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"])
        .arg(&path));
    path
}

fn assert_same(off: &[Vec<u8>], on: &[Vec<u8>]) {
    assert!(off.len() > 50, "{} packets", off.len());
    assert_eq!(off.len(), on.len());
    assert!(off == on, "payloads differ");
}

#[test]
fn copied_payloads_are_the_same_with_and_without_export() {
    let clip = plain_clip();
    let (off, camera) = play(&clip, "copy", "false");
    assert_eq!(lost(&camera), 0, "{camera}");
    assert_eq!((&camera["decoded"], &camera["producer"]["pictures"]), (&0.into(), &60.into()));
    let (on, camera) = play(&clip, "copy", "true");
    assert_eq!(lost(&camera), 0, "{camera}");
    assert!(camera["exported"].as_u64() > Some(0), "{camera}");
    assert_same(&off, &on);
}

#[test]
fn encoded_payloads_are_the_same_with_and_without_export_and_decoded_once() {
    let clip =
        Clip { encoder: "libx265", size: "640x360", pixels: "yuv420p", range: "tv", frames: 60 };
    let (off, camera) = play(&clip.make(), "h264", "false");
    assert_eq!(lost(&camera), 0, "{camera}");
    assert_eq!(camera["producer"]["encoded"], 60);
    let (on, camera) = play(&clip.make(), "h264", "true");
    assert_eq!(lost(&camera), 0, "{camera}");
    assert_same(&off, &on);
    // Two frame sinks, one decoder.
    assert_eq!((&camera["decoded"], &camera["producer"]["encoded"]), (&60.into(), &60.into()));
    assert!(camera["exported"].as_u64() > Some(0), "{camera}");
}

#[test]
fn a_missing_transport_costs_no_frame_of_the_export() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for video in ["copy", "h264"] {
        let mut service = Service::start("true", "", &stanza(&plain_clip(), nobody, video));
        let _reader = service.until_read("cam");
        let camera = service.until("its end", |camera| camera["state"] == "ended");
        assert_eq!(camera["dropped"]["overload"], 0, "{camera}");
        assert_eq!(camera["dropped"]["in_flight"], 0, "{camera}");
        service.until("the producer's reason", |camera| {
            camera["producer"]["state"] == "peer_gone"
                && camera["producer"]["dropped"]["peer_gone"].as_u64() > Some(0)
        });
    }
}

/// Ticks of RTP's clock within which a key frame follows a request for one: 200 ms.
const ANSWERED_WITHIN: u32 = 90_000 / 5;
/// Ticks between two pictures, at 25 fps.
const PICTURE: u32 = 90_000 / 25;
/// Pictures before each request: more than the least distance of two key frames.
const BEFORE: u32 = 20;
const REQUESTS: usize = 9;

/// Whether an RTP payload begins a key frame: its sequence parameters come first (RFC 6184).
pub(crate) fn begins_key_frame(payload: &[u8]) -> bool {
    const SPS: u8 = 7;
    const STAP_A: u8 = 24;
    match payload[0] & 31 {
        SPS => true,
        STAP_A => payload[3] & 31 == SPS,
        _ => false,
    }
}

/// Measured in the pictures' own time, and by medians, so that one answer or picture delayed on a busy machine does
/// not count.
#[test]
fn a_key_frame_comes_within_200_ms_of_a_request_for_one() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Reached only if the test fails.
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let config = format!(
        "[[camera]]\nid = \"cam\"\nurl = \"testsrc:320x240@25\"\n[camera.producer]\nrtp = \"{}\"\n\
         video = \"h264\"\nkey_interval = \"60s\"\n",
        socket.local_addr().unwrap()
    );
    let mut service = Service::start("true", "", &config);
    let _reader = service.until_read("cam");
    let mut buffer = [0; 2000];
    let (mut pictures, mut last, mut asked) = (0, None, None);
    let mut answers = Vec::new();
    // The longest step between two pictures, for each request until the next.
    let mut steps = Vec::new();
    while answers.len() < REQUESTS {
        let (length, from) = socket.recv_from(&mut buffer).expect("packets of the producer");
        // RFC 5761: 200 to 204 in the second byte are RTCP.
        if (200..=204).contains(&buffer[1]) {
            continue;
        }
        let word = |at: usize| u32::from_be_bytes(buffer[at..at + 4].try_into().unwrap());
        let (timestamp, ssrc) = (word(4), word(8));
        if last != Some(timestamp) {
            pictures += 1;
            if let (Some(last), Some(longest)) = (last, steps.last_mut()) {
                *longest = timestamp.wrapping_sub(last).max(*longest);
            }
        }
        if begins_key_frame(&buffer[12..length]) && last != Some(timestamp) {
            pictures = 0;
            answers.extend(asked.take().map(|at: u32| timestamp.wrapping_sub(at)));
        }
        last = Some(timestamp);
        if asked.is_none() && pictures >= BEFORE {
            // RFC 4585, 6.3.1: picture loss indication.
            let mut request = vec![0x81, 206, 0, 2, 0, 0, 0, 9];
            request.extend(ssrc.to_be_bytes());
            socket.send_to(&request, from).unwrap();
            asked = Some(timestamp);
            steps.push(0);
        }
    }
    answers.sort_unstable();
    let median = answers[REQUESTS / 2];
    assert!(median <= ANSWERED_WITHIN, "key frames after {answers:?} ticks of 1/90000 s");
    let camera = service.until("requests", |camera| camera["producer"]["pli"].as_u64() >= Some(9));
    assert_eq!(camera["producer"]["dropped"]["not_encoded"], 0, "{camera}");
    steps.sort_unstable();
    assert!(steps[REQUESTS / 2] < 2 * PICTURE, "a request costs a picture: {steps:?}; {camera}");
}

#[test]
fn a_transport_is_found_by_its_host_name() {
    let camera = Camera::start(&[&plain_clip()], "");
    // The first address of the name, as the service resolves it.
    let transport = UdpSocket::bind("localhost:0").unwrap();
    let port = transport.local_addr().unwrap().port();
    let cameras = stanza(Path::new(&camera.url()), port, "copy")
        .replace(&format!("127.0.0.1:{port}"), &format!("LocalHost:{port}"));
    // Reached only if the test fails.
    transport.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut service = Service::start("false", "", &cameras);
    let (_, from) = transport.recv_from(&mut [0; 2000]).unwrap();
    let seen = service.until("sending", |camera| camera["producer"]["state"] == "sending");
    assert_eq!(seen["producer"]["to"], format!("localhost:{port}"));
    assert_eq!(seen["producer"]["from"], from.to_string());
    // The process that replaces a dead one continues.
    let shard = service.shard_of("cam");
    vas_tests::service::signal(shard, "KILL");
    service.until("another shard", |camera| {
        camera["producer"]["state"] == "sending" && camera["producer"]["from"] == from.to_string()
    });
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

#[test]
fn an_unknown_host_name_is_reported_and_looked_up_again() {
    let camera = Camera::start(&[&plain_clip()], "");
    // RFC 6761: never resolves.
    let to = "mediasoup.invalid:40000";
    let cameras =
        stanza(Path::new(&camera.url()), 1, "copy").replace("127.0.0.1:1\"", &format!("{to}\""));
    let mut service = Service::start("false", "", &cameras);
    let seen = service.until("words", |camera| camera["producer"]["state"] == "peer_gone");
    let reason = seen["producer"]["reason"].as_str().unwrap();
    assert!(reason.contains("mediasoup.invalid") && reason.contains("trying again"), "{reason}");
    // Other parts are not affected, and unsent packets are counted.
    let seen = service.until("packets", |camera| camera["received"].as_u64() > Some(100));
    assert_eq!(seen["state"], "streaming");
    assert!(seen["producer"]["dropped"]["not_sent"].as_u64() > Some(0), "{seen}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

#[test]
fn an_unreachable_transport_stops_no_recording_and_is_retried() {
    let camera = Camera::start(&[&plain_clip()], "");
    let recordings = tempfile::tempdir().unwrap();
    // The kernel refuses to connect to it, as to any address while a host has no network yet.
    let to = "255.255.255.255:40000";
    let camera =
        stanza(Path::new(&camera.url()), 1, "copy").replace("127.0.0.1:1\"", &format!("{to}\""));
    let config = format!("[record]\ndir = {:?}\nsegment = \"1s\"\n{camera}", recordings.path());
    let mut service = Service::start("false", "", &config);
    let seen = service.until("words", |camera| camera["producer"]["state"] == "peer_gone");
    let reason = seen["producer"]["reason"].as_str().unwrap();
    assert!(reason.contains(to) && reason.contains("trying again"), "{reason}");
    service.until("a recording", |camera| {
        camera["state"] == "streaming" && camera["recorder"]["written_bytes"].as_u64() > Some(0)
    });
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}
