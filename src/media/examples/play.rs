//! Decodes a number of pictures from a source and prints statistics: `play URL [auto|tcp|udp] [COUNT]`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use vas_media::{
    Frame, Received, SourceRequest, StopFlag, Transport, monotonic_ns, open, open_software,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("play URL [auto|tcp|udp] [COUNT]")?;
    let transport = match arguments.next().as_deref() {
        Some("tcp") => Transport::Tcp,
        Some("udp") => Transport::Udp,
        _ => Transport::Auto,
    };
    let count: u32 = arguments.next().map_or(Ok(100), |count| count.parse())?;
    let request = SourceRequest {
        url,
        transport,
        client: vas_media::RtspClient::Auto,
        connect_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(5),
        sound: false,
    };
    let began = monotonic_ns();
    let mut source = open(&request, &StopFlag::new())?;
    let opened_ms = (monotonic_ns() - began) / 1_000_000;
    println!("{}, {}, open after {opened_ms} ms", source.stream(), source.stream().carrier);

    let mut decoder = open_software(source.stream(), 1)?;
    let mut frame = Frame::new();
    let (mut frames, mut keys, mut corrupt, mut failed) = (0, 0, 0, 0);
    while frames < count {
        let Some(packet) = source.next_packet()? else { break };
        match decoder.send(&packet) {
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(_) => failed += 1,
            Ok(()) => {}
        }
        while decoder.receive(&mut frame)? == Received::Frame {
            frames += 1;
            keys += u32::from(frame.is_key());
            corrupt += u32::from(frame.is_corrupt());
        }
    }
    println!("{frames} frames, {keys} key frames, {corrupt} corrupt, {failed} packets failed");
    Ok(())
}
