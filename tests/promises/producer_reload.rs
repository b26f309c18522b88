//! A reload of the config keeps a producer's stream: viewers see the same source continue.

use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use vas_tests::camera::Camera;
use vas_tests::service::Service;

use crate::producer::plain_clip;

/// A packet's identity: source address, SSRC, sequence number, timestamp.
#[derive(Clone, Copy, Debug)]
struct Seen {
    from: SocketAddr,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

impl Seen {
    fn read(packet: &[u8], from: SocketAddr) -> Option<Self> {
        let [_, kind, s0, s1, t0, t1, t2, t3, a, b, c, d, ..] = *packet else { return None };
        // RFC 5761: 200 to 204 in the second byte are RTCP.
        (!(200..=204).contains(&kind)).then(|| Self {
            from,
            ssrc: u32::from_be_bytes([a, b, c, d]),
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        })
    }
}

/// Stands in for a PlainTransport.
struct Transport {
    port: u16,
    seen: Receiver<Seen>,
    last: Option<Seen>,
    count: u64,
}

impl Transport {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let (to, seen) = channel();
        std::thread::spawn(move || receive(&socket, &to));
        Self { port, seen, last: None, count: 0 }
    }

    /// Checks that the packets received so far are one stream.
    fn check(&mut self) {
        while let Ok(seen) = self.seen.try_recv() {
            self.check_one(seen);
        }
    }

    /// The same for a number of further packets.
    fn check_more(&mut self, packets: u64) {
        for _ in 0..packets {
            // Reached only if the test fails.
            let seen = self.seen.recv_timeout(Duration::from_secs(60)).expect("packets");
            self.check_one(seen);
        }
    }

    fn check_one(&mut self, seen: Seen) {
        if let Some(last) = self.last.replace(seen) {
            assert_eq!(
                (seen.from, seen.ssrc),
                (last.from, last.ssrc),
                "the same socket and source"
            );
            assert_eq!(seen.sequence, last.sequence.wrapping_add(1), "{last:?}, {seen:?}");
            // A new start would be anywhere within 13 hours.
            let step = seen.timestamp.wrapping_sub(last.timestamp);
            assert!(step < 60 * 90_000, "{last:?}, {seen:?}");
        }
        self.count += 1;
    }
}

/// Forwards packets until the receiver is dropped.
fn receive(socket: &UdpSocket, to: &Sender<Seen>) {
    let mut buffer = [0; 2000];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let seen = Seen::read(&buffer[..length], from);
        if seen.is_some_and(|seen| to.send(seen).is_err()) {
            return;
        }
    }
}

fn reload_keeps_the_stream(video: &str) {
    let rtsp = Camera::start(&[&plain_clip()], ",loop");
    let mut transport = Transport::new();
    let port = transport.port;
    let cameras = |own: &str, others: &str| {
        let camera = |id: &str, more: &str| {
            format!(
                "[[camera]]\nid = {id:?}\nurl = {:?}\ntransport = \"tcp\"\n{more}\n",
                rtsp.url()
            )
        };
        let producer =
            format!("[camera.producer]\nrtp = \"127.0.0.1:{port}\"\nvideo = {video:?}\n");
        camera("cam", &format!("{own}\n{producer}")) + &camera("other", others)
    };
    let longer = "read_timeout = \"7s\"";
    let mut service = Service::start("false", "", &cameras("", ""));
    transport.check_more(100);

    service.reload(&cameras("", longer));
    service.until_logged("0 cameras added, 0 removed, 1 changed, 1 as before");
    transport.check();
    transport.check_more(100);

    let before = transport.count;
    service.reload(&cameras(longer, longer));
    // Counters restart with the camera: fewer than the packets received here.
    let transport = RefCell::new(transport);
    service.until_camera("cam", "restarted counters", |camera| {
        let mut transport = transport.borrow_mut();
        transport.check();
        let packets = camera["producer"]["packets"].as_u64().unwrap_or(0);
        packets > 0 && packets + before <= transport.count
    });
    transport.borrow_mut().check_more(100);
    assert_eq!(service.stop(), Some(0), "{}", service.log());
}

#[test]
fn a_reload_keeps_a_copied_stream() {
    reload_keeps_the_stream("copy");
}

#[test]
fn a_reload_keeps_an_encoded_stream() {
    reload_keeps_the_stream("h264");
}
