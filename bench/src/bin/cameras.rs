//! Many simulated cameras that cost little: `cameras CLIP FPS [GAP_US]`.
//!
//! Serves one H.264 clip (Annex B, an access unit delimiter before each picture) over RTSP, interleaved in TCP, under any
//! path. One thread sends to all sessions, at even distances; a thread for each connection answers requests and is
//! otherwise asleep. A picture's packets leave in one write or, with a gap, so many microseconds apart.
//!
//! Prints `rtsp://127.0.0.1:PORT/` once it listens. The end of standard input ends the process.

#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Most bytes of an RTP payload.
const PAYLOAD: usize = 1400;
const CLOCK_HZ: u32 = 90_000;
const DELIMITER: u8 = 9;
const PARAMETERS: [u8; 2] = [7, 8];

/// RTP packets of a picture, interleaved framing before each, sequence number and timestamp still zero.
type Picture = Vec<Vec<u8>>;

/// Connections that play, and have not been seen by the sender.
type New = Mutex<Vec<Arc<Mutex<TcpStream>>>>;

struct Session {
    stream: Arc<Mutex<TcpStream>>,
    sequence: u16,
    timestamp: u32,
    picture: usize,
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
    let of_sender = Arc::clone(&new);
    std::thread::spawn(move || send(&of_sender, &pictures, fps, Duration::from_micros(gap_us)));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (new, description) = (Arc::clone(&new), description.clone());
            std::thread::spawn(move || answer(stream, &description, &new));
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
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
            let mut packets: Picture = units.iter().flat_map(|unit| packets(unit)).collect();
            packets.last_mut().expect("a unit is a packet at least")[5] |= 0x80;
            packets
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
    let (Ok(reader), Ok(local)) = (stream.try_clone(), stream.local_addr()) else { return };
    let (mut reader, stream) = (BufReader::new(reader), Arc::new(Mutex::new(stream)));
    loop {
        let (mut method, mut sequence) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) if method.is_empty() => {
                    method = line.split(' ').next().unwrap_or_default().to_owned();
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
        let more = match method.as_str() {
            "DESCRIBE" => format!(
                "Content-Type: application/sdp\r\nContent-Base: rtsp://{local}/\r\nContent-Length: {}\r\n\r\n\
                 {description}",
                description.len()
            ),
            "SETUP" => format!(
                "{session}Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=01020304\r\n\r\n"
            ),
            "OPTIONS" => "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n".to_owned(),
            _ => format!("{session}\r\n"),
        };
        let text = format!("RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{more}");
        let mut locked = stream.lock().expect("nobody panics with it");
        if locked.write_all(text.as_bytes()).is_err() {
            return;
        }
        drop(locked);
        match method.as_str() {
            "PLAY" => new.lock().expect("nobody panics with it").push(Arc::clone(&stream)),
            "TEARDOWN" => {
                let locked = stream.lock().expect("nobody panics with it");
                let _ = locked.shutdown(std::net::Shutdown::Both);
                return;
            }
            _ => {}
        }
    }
}

/// Sends pictures to all sessions.
fn send(new: &New, pictures: &[Picture], fps: u32, gap: Duration) {
    let interval = Duration::from_secs(1) / fps;
    let mut sessions: Vec<Option<Session>> = Vec::new();
    // When, which session, which packet of its picture.
    let mut due: BinaryHeap<Reverse<(Instant, usize, usize)>> = BinaryHeap::new();
    let mut bytes = Vec::new();
    loop {
        for stream in new.lock().expect("nobody panics with it").drain(..) {
            let number = sessions.len();
            // Even distances for any number of sessions: the golden ratio's multiples.
            let phase = (number as f64 * 0.618_033_988_75).fract();
            due.push(Reverse((Instant::now() + interval.mul_f64(phase), number, 0)));
            sessions.push(Some(Session { stream, sequence: 0, timestamp: 0, picture: 0 }));
        }
        let Some(&Reverse((at, number, packet))) = due.peek() else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        let left = at.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
        due.pop();
        let Some(session) = &mut sessions[number] else { continue };
        let picture = &pictures[session.picture];
        let end = if gap.is_zero() { picture.len() } else { packet + 1 };
        bytes.clear();
        for packet in &picture[packet..end] {
            let start = bytes.len();
            bytes.extend_from_slice(packet);
            bytes[start + 6..start + 8].copy_from_slice(&session.sequence.to_be_bytes());
            bytes[start + 8..start + 12].copy_from_slice(&session.timestamp.to_be_bytes());
            session.sequence = session.sequence.wrapping_add(1);
        }
        let mut stream = session.stream.lock().expect("nobody panics with it");
        let sent = stream.write_all(&bytes);
        drop(stream);
        if sent.is_err() {
            sessions[number] = None;
        } else if end < picture.len() {
            due.push(Reverse((at + gap, number, end)));
        } else {
            session.picture = (session.picture + 1) % pictures.len();
            session.timestamp = session.timestamp.wrapping_add(CLOCK_HZ / fps);
            let sent_after = gap * u32::try_from(picture.len() - 1).unwrap_or(u32::MAX);
            let next = if gap.is_zero() { at + interval } else { at + interval - sent_after };
            due.push(Reverse((next, number, 0)));
        }
    }
}
