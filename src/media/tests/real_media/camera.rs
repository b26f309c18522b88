//! Cameras that respond wrongly or not at all, simulated on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use vas_media::{SourceError, SourceErrorKind, SourceRequest, StopFlag, Transport};

use crate::clips::request;

/// A server for one client that responds to each request with the result of `answer`, or not at all.
struct FakeCamera {
    url: String,
    server: JoinHandle<Vec<String>>,
}

impl FakeCamera {
    fn new(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("rtsp://admin:s3cret@{}/live", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            serve(client, answer)
        });
        Self { url, server }
    }

    /// Opens the camera, which must fail; also returns the requests that it received.
    fn open(self, stop: &StopFlag, request: impl FnOnce(String) -> SourceRequest) -> Failure {
        let error = vas_media::open(&request(self.url), stop).err().unwrap();
        Failure { error, requests: self.server.join().unwrap() }
    }
}

struct Failure {
    error: SourceError,
    requests: Vec<String>,
}

fn serve(client: TcpStream, answer: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut requests = Vec::new();
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
    let mut sequence = String::new();
    let mut method = String::new();
    while let Some(Ok(line)) = lines.next() {
        if line.ends_with("RTSP/1.0") {
            method = line.split(' ').next().unwrap_or_default().to_owned();
            requests.push(line);
        } else if let Some(number) = line.strip_prefix("CSeq: ") {
            sequence = number.to_owned();
        } else if line.is_empty() {
            let Some(reply) = answer(&method) else { continue };
            let (status, rest) = reply.split_once('\n').unwrap_or((&reply, ""));
            let text = format!("RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n{rest}\r\n");
            (&client).write_all(text.as_bytes()).unwrap();
        }
    }
    requests
}

fn tcp(url: String) -> SourceRequest {
    request(&url)
}

/// Accepts OPTIONS and responds to DESCRIBE with `status`.
fn refusing(status: &'static str) -> FakeCamera {
    FakeCamera::new(move |method| {
        Some(if method == "OPTIONS" { "200 OK\n".into() } else { format!("{status}\n") })
    })
}

#[test]
fn statuses_become_kinds() {
    for (status, expected) in [
        ("401 Unauthorized", SourceErrorKind::Refused { status: 401 }),
        ("403 Forbidden", SourceErrorKind::Refused { status: 403 }),
        ("404 Not Found", SourceErrorKind::NoSuchPath),
    ] {
        let failure = refusing(status).open(&StopFlag::new(), tcp);
        assert_eq!(failure.error.kind, expected);
        assert!(failure.requests.iter().any(|line| line.starts_with("DESCRIBE")));
    }
    let busy = refusing("503 Service Unavailable").open(&StopFlag::new(), tcp);
    assert!(matches!(busy.error.kind, SourceErrorKind::Rejected(_)), "{}", busy.error);
}

#[test]
fn errors_do_not_contain_the_password() {
    let failure = refusing("401 Unauthorized").open(&StopFlag::new(), tcp);
    let words = format!("{0} {0:?}", failure.error);
    assert!(words.contains("rtsp://***@127.0.0.1:"), "{words}");
    assert!(!words.contains("s3cret") && !words.contains("admin"), "{words}");
}

/// A description with one H.264 track.
const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
                   a=rtpmap:96 H264/90000\r\na=control:track1\r\n";
const SOUND: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n\
                     a=control:track1\r\n";

/// Responds with a description and, to SETUP, with `setup`.
fn describing(sdp: &'static str, setup: &'static str) -> impl Fn(&str) -> Option<String> {
    move |method| {
        Some(match method {
            "DESCRIBE" => format!(
                "200 OK\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{}",
                sdp.len(),
                sdp.trim_end()
            ),
            "SETUP" => setup.to_owned(),
            _ => "200 OK\n".to_owned(),
        })
    }
}

#[test]
fn a_missing_transport_is_reported() {
    for asked in [Transport::Tcp, Transport::Udp] {
        let camera = FakeCamera::new(describing(SDP, "461 Unsupported transport\n"));
        let failure = camera
            .open(&StopFlag::new(), |url| SourceRequest { transport: asked, ..request(&url) });
        assert_eq!(failure.error.kind, SourceErrorKind::NoTransport { asked });
    }
}

/// Accepts the session and then sends no picture.
fn playing_nothing() -> impl Fn(&str) -> Option<String> {
    describing(SDP, "200 OK\nSession: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n")
}

#[test]
fn a_session_without_pictures_times_out_and_is_closed() {
    // Long enough to set the session up on a busy machine; without a session there is none to close.
    let limit = Duration::from_secs(3);
    let failure = FakeCamera::new(playing_nothing())
        .open(&StopFlag::new(), |url| SourceRequest { connect_timeout: limit, ..request(&url) });
    let kind = failure.error.kind;
    assert!(matches!(kind, SourceErrorKind::TimedOut { limit: l, .. } if l == limit), "{kind}");
    let methods: Vec<_> = failure.requests.iter().filter_map(|r| r.split(' ').next()).collect();
    assert_eq!(methods.last(), Some(&"TEARDOWN"), "{methods:?}");
}

#[test]
fn a_description_without_video_is_reported() {
    let failure = FakeCamera::new(describing(SOUND, "200 OK\n")).open(&StopFlag::new(), tcp);
    assert_eq!(failure.error.kind, SourceErrorKind::NoVideo);
}

#[test]
fn a_silent_camera_times_out() {
    let limit = Duration::from_millis(300);
    let failure = FakeCamera::new(|_| None)
        .open(&StopFlag::new(), |url| SourceRequest { connect_timeout: limit, ..request(&url) });
    let kind = failure.error.kind;
    assert!(matches!(kind, SourceErrorKind::TimedOut { limit: l, .. } if l == limit), "{kind}");
}

#[test]
fn a_stop_ends_the_wait_for_a_silent_camera() {
    let stop = StopFlag::new();
    let (asked, was_asked) = std::sync::mpsc::channel();
    let camera = FakeCamera::new(move |_| {
        asked.send(()).unwrap();
        None
    });
    let opening = std::thread::spawn({
        let stop = stop.clone();
        move || camera.open(&stop, tcp).error.kind
    });
    was_asked.recv().unwrap();
    stop.stop();
    assert_eq!(opening.join().unwrap(), SourceErrorKind::Stopped);
}

#[test]
fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/x", listener.local_addr().unwrap());
    drop(listener);
    let error = vas_media::open(&request(&url), &StopFlag::new()).err().unwrap();
    assert!(matches!(error.kind, SourceErrorKind::Unreachable(_)), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[test]
fn an_unknown_name_is_reported() {
    // RFC 6761: names under .invalid never resolve.
    let error = vas_media::open(&request("rtsp://camera.invalid/x"), &StopFlag::new());
    let error = error.err().unwrap();
    assert!(matches!(error.kind, SourceErrorKind::UnknownHost { .. }), "{error}");
}

#[test]
fn a_server_of_another_protocol_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/x", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
    });
    let error = vas_media::open(&request(&url), &StopFlag::new()).err().unwrap();
    server.join().unwrap();
    assert!(
        matches!(error.kind, SourceErrorKind::Garbage(_) | SourceErrorKind::Unreachable(_)),
        "{error}"
    );
}
