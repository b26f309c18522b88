//! A producer's threads against a socket that plays the transport.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use vas_config::Video;
use vas_endpoint::{EndpointSlot, RtpEndpoint};
use vas_frame::CameraId;
use vas_media::{Packet, RtspClient, SourceRequest, StopFlag, StreamInfo, Transport};
use vas_pipeline::{Branch, Packets};
use vas_status::ProducerState;

use super::*;

/// Receives as the transport does.
struct Peer {
    socket: UdpSocket,
    producer: vas_config::Producer,
}

impl Peer {
    fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Only reached when a test fails.
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let producer = vas_config::Producer {
            rtp: vas_config::Destination::Address(socket.local_addr().unwrap()),
            rtcp: None,
            ssrc: 7,
            payload_type: 96,
            video: Video::Copy,
            max_width: None,
            max_height: None,
            bitrate_kbit: None,
            key_interval: Duration::from_secs(2),
        };
        Self { socket, producer }
    }

    /// The next RTP packet's sequence number, timestamp and marker; skips reports.
    fn next(&self) -> (u16, u32, bool) {
        let mut buffer = [0; 2000];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap();
            assert!(length <= vas_rtp::MAX_PACKET);
            // RFC 5761: 200 to 204 in the second byte are RTCP.
            if !(200..=204).contains(&buffer[1]) {
                let [_, kind, s0, s1, t0, t1, t2, t3, ..] = buffer;
                let sequence = u16::from_be_bytes([s0, s1]);
                return (sequence, u32::from_be_bytes([t0, t1, t2, t3]), kind & 0x80 != 0);
            }
        }
    }

    /// The packets of a picture.
    fn picture(&self) -> Vec<(u16, u32, bool)> {
        let mut packets = vec![self.next()];
        while !packets.last().unwrap().2 {
            packets.push(self.next());
        }
        packets
    }
}

/// A running branch.
struct Running {
    packets: Arc<Packets>,
    stats: Arc<ProducerStats>,
    thread: JoinHandle<()>,
}

impl Running {
    fn start(peer: &Peer, endpoint: RtpEndpoint) -> Self {
        let camera = CameraId::new("gate").unwrap();
        let stats = Arc::new(ProducerStats::new(&peer.producer));
        let slot = Arc::new(EndpointSlot::default());
        slot.fill(endpoint);
        let mut copy = Box::new(Copy::new(&camera, &peer.producer, &slot, &stats));
        copy.prepare().unwrap();
        let packets = Arc::new(Packets::new(copy.limits()));
        let of_thread = Arc::clone(&packets);
        let thread = std::thread::spawn(move || copy.run(of_thread));
        Self { packets, stats, thread }
    }

    fn stop(self) -> Arc<ProducerStats> {
        self.packets.close();
        self.thread.join().unwrap();
        self.stats
    }
}

/// The packets of a clip that FFmpeg encodes.
fn clip(arguments: &[&str]) -> (StreamInfo, Vec<Packet>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    let status = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=50"])
        .args(["-frames:v", "10", "-pix_fmt", "yuv420p"])
        .args(arguments)
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    let request = SourceRequest {
        url: path.to_str().unwrap().into(),
        transport: Transport::Auto,
        client: RtspClient::default(),
        connect_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(10),
        sound: false,
    };
    let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
    let stream = source.stream().clone();
    let packets = std::iter::from_fn(|| source.next_packet().unwrap()).collect();
    (stream, packets)
}

fn play(running: &Running, stream: &StreamInfo, packets: &[Packet]) {
    running.packets.push_stream(stream.clone());
    for packet in packets {
        running.packets.push(packet.clone());
    }
}

const BASELINE: [&str; 6] = ["-c:v", "libx264", "-bf", "0", "-g", "5"];

#[test]
fn one_stream_across_connections_and_processes() {
    let (stream, packets) = clip(&BASELINE);
    let peer = Peer::new();
    let endpoint = RtpEndpoint::take(&peer.producer).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        // As another process would get it: by descriptors of its own.
        let files = endpoint.share().unwrap();
        let running = Running::start(&peer, RtpEndpoint::of(files).unwrap());
        for _ in 0..2 {
            play(&running, &stream, &packets);
            (0..packets.len()).for_each(|_| seen.push(peer.picture()));
        }
        let report = running.stop().report();
        assert_eq!((report.pictures, report.key_frames), (20, 4));
        assert_eq!(report.profile_level_id.unwrap().len(), 6);
        assert_eq!(
            (report.state, report.dropped.values().sum::<u64>()),
            (ProducerState::Sending, 0)
        );
    }
    let packets: Vec<_> = seen.iter().flatten().collect();
    for pair in packets.windows(2) {
        assert_eq!(pair[1].0, pair[0].0.wrapping_add(1), "no sequence number is left out");
    }
    for pair in seen.windows(2) {
        let step = pair[1][0].1.wrapping_sub(pair[0][0].1);
        // 20 ms within a stream; between streams the time that passed, and a minute would be a
        // jump.
        assert!((1..60 * 90_000).contains(&step), "{step}");
    }
}

#[test]
fn requests_for_key_frames_are_counted() {
    let (stream, packets) = clip(&BASELINE);
    let peer = Peer::new();
    let running = Running::start(&peer, RtpEndpoint::take(&peer.producer).unwrap());
    play(&running, &stream, &packets);
    peer.picture();
    let from = running.stats.report().from.unwrap();
    let pli = [0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 7];
    let fir = [0x84, 206, 0, 4, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 0];
    let to = (Ipv4Addr::LOCALHOST, from.parse::<SocketAddr>().unwrap().port());
    peer.socket.send_to(&pli, to).unwrap();
    peer.socket.send_to(&fir, to).unwrap();
    let counted = || (running.stats.report().pli, running.stats.report().fir);
    while counted() != (1, 1) {
        std::thread::sleep(Duration::from_millis(5));
    }
    running.stop();
}

#[test]
fn what_viewers_can_not_show_is_refused_with_a_reason() {
    let peer = Peer::new();
    let refused = |arguments: &[&str]| {
        let (stream, packets) = clip(arguments);
        let running = Running::start(&peer, RtpEndpoint::take(&peer.producer).unwrap());
        play(&running, &stream, &packets);
        while running.stats.report().dropped["refused"] == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let report = running.stop().report();
        assert_eq!(report.state, ProducerState::Refused);
        report.reason
    };
    let b_frames = refused(&["-c:v", "libx264", "-bf", "2", "-b_strategy", "0"]);
    assert!(b_frames.contains("B-frames") && b_frames.contains("h264"), "{b_frames}");
    let h265 = refused(&["-c:v", "libx265", "-x265-params", "log-level=none"]);
    assert!(h265.contains("hevc") && h265.contains("h264"), "{h265}");
}

#[test]
fn a_peer_that_is_gone_is_said_and_found_again() {
    let (stream, packets) = clip(&BASELINE);
    let Peer { socket, producer } = Peer::new();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let peer = Peer { socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), producer };
    let running = Running::start(&peer, RtpEndpoint::take(&peer.producer).unwrap());
    play(&running, &stream, &packets);
    while running.stats.report().state != ProducerState::PeerGone {
        std::thread::sleep(Duration::from_millis(5));
    }
    let peer = Peer { socket: UdpSocket::bind(address).unwrap(), producer: peer.producer };
    peer.socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    play(&running, &stream, &packets);
    peer.picture();
    // Once no ICMP error has come for a while.
    while running.stats.report().state != ProducerState::Sending {
        play(&running, &stream, &packets);
        std::thread::sleep(Duration::from_millis(100));
    }
    let report = running.stop().report();
    assert!(report.dropped["peer_gone"] > 0);
}

#[test]
fn a_full_socket_is_counted_and_holds_up_no_picture() {
    let (stream, packets) = clip(&BASELINE);
    let peer = Peer::new();
    // UDP on loopback is never full: the kernel drops at the receiver. A local socket is, once its
    // buffer holds enough unread data.
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&ours, 8192).unwrap();
    let mut files = RtpEndpoint::take(&peer.producer).unwrap().share().unwrap();
    files[1] = ours.into();
    let running = Running::start(&peer, RtpEndpoint::of(files).unwrap());
    const ROUNDS: u64 = 5;
    for round in 1..=ROUNDS {
        play(&running, &stream, &packets);
        // Every picture is sent or dropped, or this would wait forever.
        while running.stats.report().pictures < round * packets.len() as u64 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let report = running.stop().report();
    theirs.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2000];
    let came = std::iter::from_fn(|| theirs.recv(&mut buffer).ok().map(|_| buffer[1]));
    let media = came.filter(|kind| !(200..=204).contains(kind)).count() as u64;
    assert!(media > 0 && report.dropped["socket_full"] > 0, "{media} packets came, {report:?}");
    assert_eq!(
        report.packets - report.dropped["socket_full"],
        media,
        "each is counted that did not leave"
    );
    let others: u64 =
        report.dropped.iter().filter(|(why, _)| *why != "socket_full").map(|(_, n)| n).sum();
    assert_eq!((others, report.state), (0, ProducerState::Sending));
}
