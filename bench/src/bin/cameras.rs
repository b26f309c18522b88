//! Many simulated cameras that cost little: `cameras CLIP FPS [GAP_US]`.
//!
//! Serves one H.264 clip (Annex B, an access unit delimiter before each picture) over RTSP, interleaved in TCP, under any
//! path. One thread sends to all sessions, at even distances; a thread for each connection answers requests and is
//! otherwise asleep. A picture's packets leave in one write or, with a gap, so many microseconds apart.
//!
//! Each picture has its time ([`Timeline`]), which depends on nothing but the clock and the number at the end of the path;
//! a session begins with the next key picture. A client that reads too slowly misses pictures, as with a camera.
//!
//! Prints `rtsp://127.0.0.1:PORT/` once it listens. Each line on standard input is answered by a line of JSON: how late
//! pictures have left since the line before, in microseconds, and how many were left out because a client did not read.
//! The end of the input ends the process.

#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{SendFlags, send};
use vas_bench::stamp::{Timeline, number_of};
use vas_frame::monotonic_ns;

/// Most bytes of an RTP payload.
const PAYLOAD: usize = 1400;
const CLOCK_HZ: u32 = 90_000;
const KEY: u8 = 5;
const DELIMITER: u8 = 9;
const PARAMETERS: [u8; 2] = [7, 8];

/// A picture, with RTP packets: interleaved framing before each, sequence number and timestamp still zero.
struct Picture {
    packets: Vec<Vec<u8>>,
    key: bool,
}

/// A client's connection.
struct Connection {
    stream: TcpStream,
    /// What the client has not had room for.
    unsent: Vec<u8>,
}

impl Connection {
    /// Sends what there is room for and keeps the rest. An error means that the client has left.
    fn send(&mut self, bytes: &[u8]) -> rustix::io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        match send(&self.stream, &self.unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// How often at least the sender looks for new connections.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Connections that play, with the camera's number, and have not been seen by the sender.
type New = Mutex<Vec<(Arc<Mutex<Connection>>, Option<usize>)>>;

struct Session {
    connection: Arc<Mutex<Connection>>,
    timeline: Timeline,
    sequence: u16,
    /// The picture to be sent, counted from the clock's start.
    picture: u64,
    /// Pictures before the next key picture are left out.
    lost: bool,
}

/// What the sender has done since the last report.
#[derive(Default)]
struct Report {
    late_us: Vec<u32>,
    left_out: u64,
}

impl Report {
    fn line(mut self) -> String {
        self.late_us.sort_unstable();
        let at = |part: f64| {
            let index = (self.late_us.len() as f64 * part) as usize;
            self.late_us.get(index).copied().unwrap_or(0)
        };
        let (p50, p99, max) = (at(0.5), at(0.99), self.late_us.last().unwrap_or(&0));
        format!(
            "{{\"late_p50_us\": {p50}, \"late_p99_us\": {p99}, \"late_max_us\": {max}, \"left_out\": {}}}",
            self.left_out
        )
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let usage = "usage: cameras CLIP FPS [GAP_US]";
    let [clip, fps, rest @ ..] = arguments.as_slice() else { panic!("{usage}") };
    let fps: u32 = fps.parse().expect(usage);
    let gap_us = rest.first().map_or(0, |gap| gap.parse().expect(usage));
    let units = units(&std::fs::read(clip).expect("a clip that can be read"));
    let pictures = pictures(&units);
    let description = description(&units);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("rtsp://{}/", listener.local_addr().expect("it is bound"));
    std::io::stdout().flush().expect("whoever started this listens");
    let new = Arc::new(New::default());
    let report = Arc::new(Mutex::new(Report::default()));
    let (of_sender, its_report) = (Arc::clone(&new), Arc::clone(&report));
    std::thread::spawn(move || {
        send_all(&of_sender, &pictures, fps, Duration::from_micros(gap_us), &its_report);
    });
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (new, description) = (Arc::clone(&new), description.clone());
            std::thread::spawn(move || answer(stream, &description, &new));
        }
    });
    for _ in std::io::stdin().lock().lines() {
        let report = std::mem::take(&mut *report.lock().expect("nobody panics with it"));
        println!("{}", report.line());
        std::io::stdout().flush().expect("whoever started this listens");
    }
}

/// The NAL units of a file.
fn units(bytes: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<_> =
        (0..bytes.len().saturating_sub(2)).filter(|&at| bytes[at..at + 3] == [0, 0, 1]).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let unit = |(start, end): (&usize, usize)| {
        let unit = &bytes[start + 3..end];
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        unit[..unit.len() - zeros].to_vec()
    };
    starts.iter().zip(ends).map(unit).collect()
}

fn kind(unit: &[u8]) -> u8 {
    unit[0] & 0x1f
}

fn pictures(units: &[Vec<u8>]) -> Vec<Picture> {
    let pictures = units.split(|unit| kind(unit) == DELIMITER).filter(|units| !units.is_empty());
    pictures
        .map(|units| {
            let mut packets: Vec<_> = units.iter().flat_map(|unit| packets(unit)).collect();
            packets.last_mut().expect("a unit is a packet at least")[5] |= 0x80;
            Picture { packets, key: units.iter().any(|unit| kind(unit) == KEY) }
        })
        .collect()
}

/// RFC 6184: single NAL units, and FU-A.
fn packets(unit: &[u8]) -> Vec<Vec<u8>> {
    if unit.len() <= PAYLOAD {
        return vec![packet(&[], unit)];
    }
    let parts: Vec<_> = unit[1..].chunks(PAYLOAD - 2).collect();
    let last = parts.len() - 1;
    let part = |(number, part): (usize, &&[u8])| {
        let start = if number == 0 { 0x80 } else { 0 };
        let end = if number == last { 0x40 } else { 0 };
        packet(&[unit[0] & 0xe0 | 28, start | end | kind(unit)], part)
    };
    parts.iter().enumerate().map(part).collect()
}

fn packet(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(12 + head.len() + payload.len()).expect("at most PAYLOAD");
    let mut packet = vec![b'$', 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0x80, 96, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    packet.extend(head);
    packet.extend(payload);
    packet
}

fn description(units: &[Vec<u8>]) -> String {
    let sets = PARAMETERS.map(|wanted| {
        let unit = units.iter().find(|unit| kind(unit) == wanted);
        base64(unit.expect("a clip begins with its parameter sets"))
    });
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n\
         a=rtpmap:96 H264/{CLOCK_HZ}\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets={}\r\n\
         a=control:track1\r\n",
        sets.join(","),
    )
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for letter in 0..4 {
            let letters = char::from(LETTERS[(bits >> (18 - 6 * letter) & 63) as usize]);
            text.push(if letter > three.len() { '=' } else { letters });
        }
    }
    text
}

/// Answers a client's requests until it leaves.
fn answer(stream: TcpStream, description: &str, new: &New) {
    let _ = stream.set_nodelay(true);
    let Ok(reader) = stream.try_clone() else { return };
    let mut reader = BufReader::new(reader);
    let mut number = None;
    let connection = Arc::new(Mutex::new(Connection { stream, unsent: Vec::new() }));
    loop {
        let (mut method, mut url, mut sequence) = (String::new(), String::new(), String::new());
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) if method.is_empty() => {
                    let mut words = line.split(' ').map(str::to_owned);
                    method = words.next().unwrap_or_default();
                    url = words.next().unwrap_or_default();
                }
                Ok(_) => {}
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("cseq")
            {
                value.trim().clone_into(&mut sequence);
            }
        }
        let session = "Session: 1;timeout=7200\r\n";
        if method == "DESCRIBE" {
            number = number_of(url.trim_end_matches('/'));
        }
        let more = match method.as_str() {
            "DESCRIBE" => format!(
                "Content-Type: application/sdp\r\nContent-Base: {base}/\r\nContent-Length: {}\r\n\r\n\
                 {description}",
                description.len(),
                base = url.trim_end_matches('/'),
            ),
            "SETUP" => format!(
                "{session}Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=01020304\r\n\r\n"
            ),
            "OPTIONS" => "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n".to_owned(),
            _ => format!("{session}\r\n"),
        };
        let text = format!("RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{more}");
        let mut locked = connection.lock().expect("nobody panics with it");
        if locked.send(text.as_bytes()).is_err() {
            return;
        }
        match method.as_str() {
            "PLAY" => {
                new.lock().expect("nobody panics with it").push((Arc::clone(&connection), number));
            }
            "TEARDOWN" => {
                let _ = locked.stream.shutdown(std::net::Shutdown::Both);
                return;
            }
            _ => {}
        }
    }
}

/// Sends pictures to all sessions.
fn send_all(new: &New, pictures: &[Picture], fps: u32, gap: Duration, report: &Mutex<Report>) {
    let count = pictures.len() as u64;
    let of = |number: u64| &pictures[(number % count) as usize];
    let gap_ns = gap.as_nanos() as u64;
    let mut sessions: Vec<Option<Session>> = Vec::new();
    // When, which session, which packet of its picture.
    let mut due: BinaryHeap<Reverse<(u64, usize, usize)>> = BinaryHeap::new();
    let mut bytes = Vec::new();
    loop {
        for (connection, number) in new.lock().expect("nobody panics with it").drain(..) {
            let slot = sessions.len();
            let timeline = Timeline::new(fps, number.unwrap_or(slot));
            let next = timeline.next_after(monotonic_ns());
            let key = (next..next + count).find(|number| of(*number).key);
            let picture = key.expect("a clip has a key picture");
            due.push(Reverse((timeline.sent_ns(picture), slot, 0)));
            sessions.push(Some(Session {
                connection,
                timeline,
                sequence: 0,
                picture,
                lost: false,
            }));
        }
        let Some(&Reverse((at, number, packet))) = due.peek() else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        let now = monotonic_ns();
        if at > now {
            // A new session's key picture may be due before.
            std::thread::sleep(Duration::from_nanos(at - now).min(LOOK_EVERY));
            continue;
        }
        due.pop();
        let Some(session) = &mut sessions[number] else { continue };
        let picture = of(session.picture);
        let packets = &picture.packets;
        let end = if gap.is_zero() { packets.len() } else { packet + 1 };
        let mut connection = session.connection.lock().expect("nobody panics with it");
        let mut report = report.lock().expect("nobody panics with it");
        if packet == 0 {
            session.lost = !connection.unsent.is_empty() || session.lost && !picture.key;
            report.left_out += u64::from(session.lost);
            report.late_us.push(u32::try_from((now - at) / 1000).unwrap_or(u32::MAX));
        }
        bytes.clear();
        let timestamp = (session.picture * u64::from(CLOCK_HZ / fps)) as u32;
        for packet in if session.lost { &[] } else { &packets[packet..end] } {
            let start = bytes.len();
            bytes.extend_from_slice(packet);
            bytes[start + 6..start + 8].copy_from_slice(&session.sequence.to_be_bytes());
            bytes[start + 8..start + 12].copy_from_slice(&timestamp.to_be_bytes());
            session.sequence = session.sequence.wrapping_add(1);
        }
        let sent = connection.send(&bytes);
        drop(connection);
        if sent.is_err() {
            sessions[number] = None;
        } else if end < packets.len() {
            due.push(Reverse((at + gap_ns, number, end)));
        } else {
            session.picture += 1;
            due.push(Reverse((session.timeline.sent_ns(session.picture), number, 0)));
        }
    }
}
